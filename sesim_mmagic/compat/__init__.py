"""Repairs of what MMagic 1.2.0 and MMEngine 0.10 need on a current stack; nothing else patches.

Repairs, each with its reason, the versions that need it, and when it can go:

* ``numpy_bool8``: MMagic names ``np.bool8``, which NumPy 2 removed.
  MMagic <= 1.2.0 on NumPy >= 2; until MMagic writes ``np.bool_``.
* ``mmcv_ext``: MMagic imports compiled operators, which translation never calls (mmcv issue 2059).
  MMagic <= 1.2.0 with mmcv-lite; until MMagic imports them lazily.
* ``mediapipe_solutions``: MMagic imports controlnet_aux, which reads names of mediapipe's old
  solutions as it is imported. controlnet_aux <= 0.0.10 on mediapipe >= 1; until it does without.
* ``generation_init_weights``: MMagic leaves ``init_info`` unbound for layers other than
  convolution, linear and batch norm: training CycleGAN or Pix2Pix ends in ``UnboundLocalError``
  (mmagic issue 2109, pull request 2123). MMagic <= 1.2.0; until a release binds it.
* ``sqrtm_disp``: MMagic's FID calls ``sqrtm(disp=False)``, and SciPy 1.18 removed ``disp``.
  MMagic <= 1.2.0 on SciPy >= 1.18; until MMagic calls it without.
* ``checkpoint_globals``: checkpoints hold ``HistoryBuffer`` and NumPy arrays, which torch refuses
  unless they are allowed by name (mmengine issue 1655; pull request 1650 would turn the safety
  off). MMEngine <= 0.10.7 on torch >= 2.6; until MMEngine allows its types.
* ``checkpoint_loader``: ``torch.load`` does not compare the checksums that it wrote, ``load_url``
  unpickles whatever it downloads and tells two files of one name not apart, ``Runner.resume`` runs
  ``meta['config']``. MMEngine <= 0.10.7; until it refuses what ``utils.checkpoints`` refuses.
* ``init_dist`` and ``ddp_device_ids``: launchers select the GPU of the local rank and NCCL, and
  wrappers pass ``device_ids``, where there is no GPU. MMEngine <= 0.10.7 without an accelerator;
  until it looks at the device first.
* ``batch_norm_backward``: PyTorch's CPU backward of batch and instance norm misreads gradients.
  PyTorch up to 2.14 at least, tried at each start; until the oldest supported one is right. The
  repair needs PyTorch 2.9.

Two warnings that only the authors of MMagic and transformers can act on are silenced. Repairs of
expensive modules wait until somebody imports these, so that :func:`apply`, called by ``import
sesim_mmagic``, costs milliseconds.
"""

import warnings

from . import mmagic_repairs, mmengine_repairs, torch_repairs
from .importing import applied, silence_while_imported, when_imported

__all__ = ['applied', 'apply']


def apply() -> None:
    """Repair what is broken now, and have the rest repaired when it is imported; idempotent."""
    # MMagic imports names of diffusers from where they were; gone when MMagic follows them.
    moved = '(Dual)?Transformer2DModel(Output)?|UNet2DCondition(Output|Model)'
    warnings.filterwarnings(
        'ignore', rf'`({moved})` is deprecated', FutureWarning, r'diffusers\.models\.'
    )
    # Through diffusers a speech model of transformers < 4.50 is imported, which scripts a function.
    # On torch >= 2.12 that warns, as of every caller: hence only during this import.
    silence_while_imported(
        'transformers.models.vits.modeling_vits', '`torch.jit.script` is deprecated'
    )
    mmagic_repairs.repair_mmcv_ext()
    when_imported('numpy', mmagic_repairs.repair_numpy_bool8)
    when_imported('mediapipe', mmagic_repairs.repair_mediapipe_solutions)
    when_imported('mmagic.models.utils.model_utils', mmagic_repairs.repair_generation_init_weights)
    when_imported('mmagic.evaluation.metrics.fid', mmagic_repairs.repair_sqrtm_disp)
    when_imported('mmengine.logging.history_buffer', mmengine_repairs.repair_checkpoint_globals)
    when_imported('mmengine.runner.checkpoint', mmengine_repairs.repair_checkpoint_loader)
    when_imported('mmengine.dist.utils', mmengine_repairs.repair_init_dist)
    when_imported('mmengine.model.wrappers.distributed', mmengine_repairs.repair_ddp_device_ids)
    when_imported('torch', torch_repairs.repair_batch_norm_backward)
