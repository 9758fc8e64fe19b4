# Smaller still, for shapes of 64 pixels: the shallowest layers of a VGG16 of random weights; hinge,
# because it stops the discriminator before it wins outright. No BrightnessLoss: the comparisons on
# the shapes show what losses do alone.
_base_ = './fsesim_resnet_w32.py'
model = dict(
    generator=dict(base_channels=24),
    discriminator=dict(num_conv=2),
    gan_loss=dict(gan_type='hinge'),
    more_losses=None,
    structure_loss=dict(
        layers=('relu1_2', 'relu2_2'),
        num_patches=128,
        loss_weight=20.0,
        feature_net=dict(
            _delete_=True,
            type='sesim_mmagic.VGG16Features',
            pretrained=None,
            seed=0,
            width=0.5,
        ),
    ),
)
