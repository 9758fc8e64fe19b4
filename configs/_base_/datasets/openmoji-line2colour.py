_base_ = './openmoji-line2colour128.py'

data_root = 'data/openmoji256'
workers = dict(num_workers=4, persistent_workers=True)
train_dataloader = dict(workers, dataset=dict(data_root=data_root))
val_dataloader = dict(workers, dataset=dict(data_root=data_root))
test_dataloader = dict(workers, dataset=dict(data_root=data_root))
