# The synthetic shapes whose pictures of B have several looks, written by
# tools/dataset_converters/synthetic_shapes.py --out data/shape_modes --modes 4; A -> B.
_base_ = './shapes_64.py'
data_root = 'data/shape_modes'
train_dataloader = dict(dataset=dict(data_root=data_root))
val_dataloader = dict(dataset=dict(data_root=data_root))
test_dataloader = dict(dataset=dict(data_root=data_root))
