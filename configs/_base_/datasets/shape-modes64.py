# The synthetic shapes whose pictures of B have several styles, written by
# tools/dataset_converters/synthetic_shapes.py --out data/shape_modes --modes 4; A -> B.
_base_ = './shapes64.py'

data_root = 'data/shape_modes'
train_dataloader = dict(dataset=dict(data_root=data_root))
val_dataloader = dict(dataset=dict(data_root=data_root))
test_dataloader = dict(dataset=dict(data_root=data_root))

val_evaluator = [
    dict(type='sesim_mmagic.ModeCoverage', target_domain='textured', source_domain='flat', modes=4),
    dict(
        type='sesim_mmagic.LPIPSDiversity',
        target_domain='textured',
        lpips=dict(net='alex', pretrained=None, seed=0),
    ),
]
test_evaluator = val_evaluator
