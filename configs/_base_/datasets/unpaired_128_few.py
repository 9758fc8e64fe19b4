# As unpaired_128, of so few pictures that only 2 of each domain are held out; test pictures are
# brought to the size of training.
_base_ = './unpaired_128.py'
test_pipeline = [
    transform
    for key in ('img_A', 'img_B')
    for transform in (
        dict(type='sesim_mmagic.LoadPicture', key=key),
        dict(
            type='Resize', keys=[key], scale=(65536, 128), keep_ratio=True, interpolation='bicubic'
        ),
    )
]
train_dataloader = dict(dataset=dict(held_out=2))
val_dataloader = dict(dataset=dict(held_out=2))
