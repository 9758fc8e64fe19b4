_base_ = '../fsesim/fsesim_resnet-w32_1xb1-4kiters_kaokore128.py'

model = dict(structure_loss=dict(_delete_=True, type='sesim_mmagic.PixelLoss', loss_weight=10.0))
