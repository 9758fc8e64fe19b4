_base_ = '../fsesim/fsesim_resnet-w24_1xb4-500iters_shapes64.py'

# MMagic's CycleGAN with the networks of the FSeSim config, a pair for each direction.
domains = ['textured', 'flat']
model = dict(
    _delete_=True,
    type='sesim_mmagic.SeSimCycleGAN',
    default_domain='flat',
    reachable_domains=domains,
    related_domains=domains,
    data_preprocessor=dict(
        type='DataPreprocessor', data_keys=[f'img_{domain}' for domain in domains]
    ),
    generator=_base_.model.generator,
    discriminator=_base_.model.discriminator,
    loss_config=dict(cycle_loss_weight=10.0, id_loss_weight=0.5),
    ema=_base_.model.ema,
)
