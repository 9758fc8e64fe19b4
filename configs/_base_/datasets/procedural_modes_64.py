# The procedural world whose pictures of B have several looks, written by
# tools/dataset_converters/procedural_world.py --out data/procedural_modes --modes 4; A -> B.
_base_ = './procedural_64.py'
data_root = 'data/procedural_modes'
train_dataloader = dict(dataset=dict(data_root=data_root))
val_dataloader = dict(dataset=dict(data_root=data_root))
test_dataloader = dict(dataset=dict(data_root=data_root))
