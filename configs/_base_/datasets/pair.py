# One picture a domain: A and B of the three data loaders, each a picture, or a folder that holds
# one; tools/translate_single.py sets them.
# Crops of 128 pixels from zooms of 1/3 to 1, width and height apart; 100 000 crops are a pass.
# crops_per_zoom is the batch size times the number of ranks: one zoom a step. The samples of a
# step must come in their order, so nothing is shuffled: the order of the crops is random already.
pack = [dict(type='sesim_mmagic.PackDomains', A='source', B='style')]
pictures = dict(type='sesim_mmagic.SingleImagePairDataset', A=None, B=None, pipeline=pack)
train_dataloader = dict(
    batch_size=16,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='sesim_mmagic.ResumableSampler', shuffle=False),
    dataset=dict(
        pictures,
        split='train',
        crop_size=128,
        min_zoom=1 / 3,
        crops_per_zoom=16,
        length=100_000,
    ),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(pictures, split='val'),
)
test_dataloader = dict(val_dataloader, dataset=dict(pictures, split='test'))

# Structure of the source, patches of the other picture. There is nothing to hold out, so no score
# chooses a checkpoint.
val_evaluator = [
    dict(
        type='sesim_mmagic.StructureDistance',
        target_domain='style',
        source_domain='source',
        tile_size=256,
    ),
    dict(type='sesim_mmagic.PatchDistance', target_domain='style'),
]
test_evaluator = val_evaluator
