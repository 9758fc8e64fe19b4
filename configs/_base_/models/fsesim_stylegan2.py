# Single-image FSeSim of the paper: crops of one picture, StyleGAN2's networks at width 8 in the
# authors' count, penalty towards norm 1, no image buffer. A config sets the domains.
_base_ = './fsesim_resnet.py'
model = dict(
    generator=dict(
        _delete_=True,
        type='sesim_mmagic.StyleGAN2Generator',
        base_channels=32,
        num_blocks=6,
        num_downsamplings=2,
    ),
    discriminator=dict(
        _delete_=True, type='sesim_mmagic.StyleGAN2Discriminator', size=128, base_channels=16
    ),
    # With MMagic's name: the non-saturating logistic loss.
    gan_loss=dict(gan_type='vanilla'),
    gradient_penalty_weight=1.0,
    buffer_size=0,
)
