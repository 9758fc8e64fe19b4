_base_ = [
    '../_base_/models/munit_w16.py',
    '../_base_/datasets/shape_modes_64.py',
    '../_base_/schedules/adam_5e-4_short.py',
]

source, target = 'flat', 'textured'
model = dict(source_domain=source, target_domain=target, cycle_weight=10.0)

val_evaluator = [
    dict(type='sesim_mmagic.ModeCoverage', target_domain=target, source_domain=source, modes=4),
    dict(
        type='sesim_mmagic.LPIPSDiversity',
        target_domain=target,
        lpips=dict(net='alex', pretrained=None, seed=0),
    ),
]
test_evaluator = val_evaluator
