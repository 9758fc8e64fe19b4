_base_ = '../fsesim/fsesim_resnet-w24_1xb4-500iters_shapes64.py'

# The same features as FSeSim, compared as they are; the best of three weights on held-out scenes,
# see README.md.
fsesim = _base_.model.structure_loss
model = dict(
    structure_loss=dict(
        _delete_=True,
        type='sesim_mmagic.PerceptualLoss',
        layers=fsesim.layers,
        feature_net=fsesim.feature_net,
        loss_weight=0.5,
    )
)
