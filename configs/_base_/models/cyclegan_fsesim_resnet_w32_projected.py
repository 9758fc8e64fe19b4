# MMagic's CycleGAN with the networks and losses of the small FSeSim translator, in both directions.
# A config sets the domains.
_base_ = './fsesim_resnet_w32_projected.py'

one_sided = _base_.model
model = dict(
    _delete_=True,
    type='sesim_mmagic.SeSimCycleGAN',
    data_preprocessor=dict(type='DataPreprocessor'),
    generator=one_sided.generator,
    discriminator=one_sided.discriminator,
    more_discriminators=one_sided.more_discriminators,
    structure_loss=one_sided.structure_loss,
    more_losses=one_sided.more_losses,
    loss_config=dict(cycle_loss_weight=10.0, id_loss_weight=0.5),
    ema=one_sided.ema,
)
