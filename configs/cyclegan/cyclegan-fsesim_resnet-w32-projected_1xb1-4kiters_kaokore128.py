_base_ = '../fsesim/fsesim_resnet-w32-projected_1xb1-4kiters_kaokore128.py'

# MMagic's CycleGAN with the networks and losses of the FSeSim config, in both directions.
domains = ['painting', 'sketch']
model = dict(
    _delete_=True,
    type='sesim_mmagic.SeSimCycleGAN',
    default_domain='painting',
    reachable_domains=domains,
    related_domains=domains,
    data_preprocessor=dict(
        type='DataPreprocessor', data_keys=[f'img_{domain}' for domain in domains]
    ),
    generator=_base_.model.generator,
    discriminator=_base_.model.discriminator,
    more_discriminators=_base_.model.more_discriminators,
    structure_loss=_base_.model.structure_loss,
    more_losses=_base_.model.more_losses,
    loss_config=dict(cycle_loss_weight=10.0, id_loss_weight=0.5),
    ema=_base_.model.ema,
)
