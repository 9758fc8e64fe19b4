_base_ = '../fsesim/fsesim_resnet-w24_1xb4-500iters_shapes64.py'

# The weights of CUT, on the networks and the schedule of the FSeSim config.
model = dict(
    structure_loss=dict(
        _delete_=True,
        type='sesim_mmagic.PatchNCELoss',
        layers=(0, 4, 8, 12, 15),
        channels=(3, 48, 96, 96, 96),
        loss_weight=0.5,
    ),
    structure_identity_weight=1.0,
)
# PatchNCE's perceptrons train with the generator.
optim_wrapper = dict(
    generators=dict(modules=['generators', 'structure_loss']),
    discriminators=dict(modules='discriminators'),
)
