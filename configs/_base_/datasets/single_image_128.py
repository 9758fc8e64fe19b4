# One picture a domain; a leaf sets A and B (a picture, or a folder that holds one) and names the
# domains: pipelines lack PackDomains, and in training for LSeSim AppearanceView before it.
# Crops of 128 pixels from zooms of 1/3 to 1, width and height apart; 100 000 crops are a pass.
# crops_per_zoom is the batch size times the number of ranks: one zoom a step. The samples of a
# step must come in their order, so nothing is shuffled: the order of the crops is random already.
train_dataloader = dict(
    batch_size=16,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='sesim_mmagic.ResumableSampler', shuffle=False),
    dataset=dict(
        type='sesim_mmagic.SingleImagePairDataset',
        A=None,
        B=None,
        split='train',
        crop_size=128,
        min_zoom=1 / 3,
        crops_per_zoom=16,
        length=100_000,
        pipeline=[],
    ),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='sesim_mmagic.SingleImagePairDataset', A=None, B=None, split='val', pipeline=[]
    ),
)
test_dataloader = dict(val_dataloader, dataset=dict(val_dataloader['dataset'], split='test'))
