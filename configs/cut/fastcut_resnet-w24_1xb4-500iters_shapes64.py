_base_ = './cut_resnet-w24_1xb4-500iters_shapes64.py'

# The weights of FastCUT.
model = dict(
    structure_loss=dict(loss_weight=10.0), structure_identity_weight=0.0, flip_equivariance=True
)
