_base_ = './munit_adain_1xb1-1000kiters_winter2summer.py'

# PatchNCE (CUT, ECCV 2020) through the content encoder of the source, in place of content
# reconstruction and cycle: its padded image, its two halvings, its first and last residual block.
model = dict(
    content_weight=0.0,
    cycle_weight=0.0,
    structure_loss=dict(
        type='sesim_mmagic.PatchNCELoss',
        layers=(0, 5, 9, 12, 15),
        channels=(3, 128, 256, 256, 256),
    ),
)
optim_wrapper = dict(
    generators=dict(modules=['generators', 'structure_loss']),
    discriminators=dict(modules='discriminators'),
)
