# Several translations of each sketch.
_base_ = './kaokore128.py'

val_evaluator = [
    dict(type='sesim_mmagic.LPIPSDiversity', target_domain='painting', lpips=_base_.random_lpips),
    dict(
        type='sesim_mmagic.StructureDistance',
        target_domain='painting',
        source_domain='sketch',
        loss=_base_.random_structure,
    ),
]
test_evaluator = [*val_evaluator, _base_.paired_scores]
