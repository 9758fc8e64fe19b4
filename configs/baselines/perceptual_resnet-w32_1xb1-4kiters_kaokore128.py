_base_ = '../fsesim/fsesim_resnet-w32_1xb1-4kiters_kaokore128.py'

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
