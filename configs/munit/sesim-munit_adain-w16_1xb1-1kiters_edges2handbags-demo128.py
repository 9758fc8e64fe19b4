_base_ = [
    '../_base_/models/sesim_munit_w16.py',
    '../_base_/datasets/edges2handbags-demo128.py',
    '../_base_/schedules/adam_5e-4_linear_1k.py',
    '../_base_/short_runtime.py',
]

# An edge map looks the same on both sides of its lines and a bag does not: a strong loss in the
# shallowest layers would leave bags empty, all alike.
model = dict(
    source_domain='edge',
    target_domain='handbag',
    structure_loss=dict(
        layers=('blocks.1', 'blocks.2'), loss_weight=1.0, feature_net=dict(rms=(8.0, 7.4))
    ),
)
