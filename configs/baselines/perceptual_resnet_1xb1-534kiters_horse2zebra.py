_base_ = '../fsesim/fsesim_resnet_1xb1-534kiters_horse2zebra.py'

# The same features as FSeSim, compared as they are.
fsesim = _base_.model.structure_loss
model = dict(
    structure_loss=dict(
        _delete_=True,
        type='sesim_mmagic.PerceptualLoss',
        layers=fsesim.layers,
        feature_net=fsesim.feature_net,
        loss_weight=10.0,
    )
)
