# The path is relative to this file.
_base_ = '../../../configs/fsesim/fsesim_resnet-w24_1xb4-500iters_shapes64.py'

# The module that registers the loss; it has to be on PYTHONPATH.
custom_imports = dict(imports=['gradient_field'], allow_failed_imports=False)

model = dict(
    structure_loss=dict(
        _delete_=True,  # none of FSeSim's settings
        type='sesim_mmagic.GradientFieldLoss',
        loss_weight=10.0,
    )
)
