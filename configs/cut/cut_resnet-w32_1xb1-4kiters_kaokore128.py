_base_ = '../fsesim/fsesim_resnet-w32_1xb1-4kiters_kaokore128.py'

# The weights of CUT, on the networks and the schedule of the FSeSim config.
model = dict(
    structure_loss=dict(
        _delete_=True,
        type='sesim_mmagic.PatchNCELoss',
        layers=(0, 4, 8, 12, 15),
        channels=(3, 64, 128, 128, 128),
        loss_weight=0.5,
    ),
    structure_identity_weight=1.0,
)
# PatchNCE's perceptrons train with the generator.
optim_wrapper = dict(
    generators=dict(modules=['generators', 'structure_loss']),
    discriminators=dict(modules='discriminators'),
)
