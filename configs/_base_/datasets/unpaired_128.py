# As unpaired_256 for small pictures and a CPU: 40 held out; resize 143, crop 128, flip, by OpenCV;
# test pictures as they are.
_base_ = './unpaired_256.py'

train_pipeline = [
    transform
    for key in ('img_A', 'img_B')
    for transform in (
        dict(type='sesim_mmagic.LoadPicture', key=key),
        dict(type='Resize', keys=[key], scale=(143, 143), interpolation='bicubic'),
        dict(type='sesim_mmagic.CheckSize', keys=[key], min_size=(128, 128)),
        dict(type='Crop', keys=[key], crop_size=(128, 128), random_crop=True),
        dict(type='Flip', keys=[key], flip_ratio=0.5, direction='horizontal'),
    )
]
test_pipeline = [dict(type='sesim_mmagic.LoadPicture', key=key) for key in ('img_A', 'img_B')]
train_dataloader = dict(num_workers=0, persistent_workers=False, dataset=dict(held_out=40))
val_dataloader = dict(num_workers=0, persistent_workers=False, dataset=dict(held_out=40))
test_dataloader = dict(num_workers=0, persistent_workers=False)

# Scores on random features: nothing to download, and to compare with each other alone.
random_lpips = dict(net='alex', pretrained=None, seed=0)
random_structure = dict(
    type='sesim_mmagic.FSeSimLoss',
    num_patches=-1,
    distance='cos',
    loss_weight=1.0,
    feature_net=dict(type='sesim_mmagic.VGG16Features', pretrained=None, seed=0, width=0.5),
)
