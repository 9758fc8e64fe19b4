# As unpaired_256, resized and cropped as MUNIT does: the shorter side becomes 256 pixels, bilinear
# with the antialiasing of Pillow.
_base_ = './unpaired_256.py'

resize = dict(
    type='Resize', scale=(65536, 256), keep_ratio=True, interpolation='bilinear', backend='pillow'
)
train_pipeline = [
    transform
    for key in ('img_A', 'img_B')
    for transform in (
        dict(type='sesim_mmagic.LoadPicture', key=key),
        dict(resize, keys=[key]),
        dict(type='sesim_mmagic.CheckSize', keys=[key], min_size=(256, 256)),
        dict(type='Crop', keys=[key], crop_size=(256, 256), random_crop=True),
        dict(type='Flip', keys=[key], flip_ratio=0.5, direction='horizontal'),
    )
]
test_pipeline = [
    transform
    for key in ('img_A', 'img_B')
    for transform in (
        dict(type='sesim_mmagic.LoadPicture', key=key),
        dict(resize, keys=[key]),
    )
]
