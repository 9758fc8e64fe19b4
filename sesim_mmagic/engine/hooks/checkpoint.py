"""Checkpoints that survive a kill, a NaN and a change from several ranks to one."""

from collections import OrderedDict
from pathlib import Path
from typing import Any

import torch
from mmengine.dist import gather_object, get_rank, get_world_size, is_main_process
from mmengine.hooks import CheckpointHook, EMAHook
from mmengine.runner import Runner
from torch import nn

from sesim_mmagic.engine.hooks.best_score import (
    GREATER_IS_BETTER,
    LESS_IS_BETTER,
    check_evaluated,
    chosen_scores,
)
from sesim_mmagic.engine.storage import RemoveLater
from sesim_mmagic.registry import HOOKS, unwrapped
from sesim_mmagic.translators.feature_weights import KEY, feature_checksums
from sesim_mmagic.utils.checkpoints import (
    POINTER,
    TrainingStopped,
    last_checkpoint,
    resume_advice,
)
from sesim_mmagic.utils.files import write_atomically

_BUFFERS = 'image_buffers'
_RANK_BUFFERS = 'rank_buffers'


@HOOKS.register_module()
class SafeCheckpointHook(CheckpointHook):
    """MMEngine's checkpoint hook, made safe against interruption and bad weights.

    * Files are written under a temporary name and renamed, the pointer ``last_checkpoint`` too;
      an outdated or formerly best checkpoint is removed once its successor is complete.
    * Weights that are not finite are not written.
    * The image buffer of a GAN differs between ranks, and MMEngine saves what rank 0 has. Here
      the buffers of all ranks are gathered into ``checkpoint['rank_buffers']``; on resume each
      rank gets its own back.
    * ``save_best`` knows of every score of this package whether less or more is better. Scores
      that are not finite never are the best; a score that no metric yields is an error, before
      the training where that is certain, else at the first validation.

    The model may hold its buffers in the attribute ``image_buffers`` (an ``nn.ModuleDict``).

    Args: as :class:`mmengine.hooks.CheckpointHook`. ``backend_args`` defaults to atomic writes
        where checkpoints go to a local folder.
    """

    _default_greater_keys = GREATER_IS_BETTER
    _default_less_keys = LESS_IS_BETTER
    backend_args: dict | None
    file_backend: Any
    _rank_buffers: list | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        local = '://' not in str(self.out_dir or '')
        if self.backend_args is None and self.file_client_args is None and local:
            self.backend_args = dict(backend='AtomicLocalBackend')

    def before_train(self, runner: Runner) -> None:
        """Set up storage; check ``save_best`` and the interval of gradient accumulation.

        Raises:
            ValueError: No metric of the validation yields a score of ``save_best``.
        """
        super().before_train(runner)
        self.file_backend = RemoveLater(self.file_backend)
        if self.interval <= 0:
            runner.logger.warning(
                f'checkpoint.interval is {self.interval}: nothing is saved that a training could '
                'be resumed from where it was interrupted (best checkpoints hold weights alone).'
            )
        if self.save_best:
            check_evaluated(self.key_indicators, runner.val_loop)
            self._resume_best(runner)
        self._check_accumulation(runner)

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Refuse weights that are not finite; add rank buffers and feature networks' checksums.

        Raises:
            TrainingStopped: A weight or buffer holds a value that is not finite.
        """
        for name, value in checkpoint['state_dict'].items():
            if torch.is_tensor(value) and not torch.isfinite(value).all():
                raise TrainingStopped(
                    f"Iteration {runner.iter + 1}: '{name}' holds values that are not finite; "
                    f'no checkpoint was written. {resume_advice(last_checkpoint(runner.work_dir))}'
                )
        checkpoint[KEY] = feature_checksums(unwrapped(runner.model))
        if self._rank_buffers is not None:
            checkpoint[_RANK_BUFFERS] = self._rank_buffers

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """On resume, put this rank's image buffers in place of those of rank 0."""
        saved = checkpoint.pop(_RANK_BUFFERS, None)
        if runner._resume and saved:
            own = saved[get_rank() % len(saved)]
            checkpoint['state_dict'].update({f'{_BUFFERS}.{k}': v for k, v in own.items()})

    def _save_checkpoint_with_step(
        self, runner: Runner, step: int, meta: dict, gathers: bool = True
    ) -> None:
        # As in MMEngine, except that the outdated file goes last and the pointer is atomic.
        outdated = self._rotate(runner, step)
        filename = self.filename_tmpl.format(step)
        path = self.file_backend.join_path(self.out_dir, filename)
        runner.message_hub.update_info('last_ckpt', path)
        # Saving is done by rank 0 alone, gathering needs every rank: it cannot wait for the
        # callback of the saving.
        self._rank_buffers = _gather_buffers(runner.model) if gathers else None
        runner.save_checkpoint(
            self.out_dir,
            filename,
            self.file_client_args,
            save_optimizer=self.save_optimizer,
            save_param_scheduler=self.save_param_scheduler,
            meta=meta,
            by_epoch=self.by_epoch,
            backend_args=self.backend_args,
            **self.args,
        )
        self._rank_buffers = None
        self.last_ckpt = path
        if is_main_process():
            write_atomically(f'{runner.work_dir}/{POINTER}', path)
            if outdated is not None:
                self.file_backend.remove(outdated)
        self.file_backend.flush()

    def save_between_iterations(self, runner: Runner) -> None:
        """Save what was trained so far, unless that is saved; called by what ends a training.

        The other ranks may be elsewhere: their image buffers are not in it. While MMEngine's
        ``EMAHook`` validates, weights and averages are exchanged, and nothing is saved.
        """
        path = self.file_backend.join_path(self.out_dir, self.filename_tmpl.format(runner.iter))
        if path == self.last_ckpt or any(isinstance(hook, EMAHook) for hook in runner.hooks):
            return
        meta = dict(epoch=runner.epoch, iter=runner.iter)
        self._save_checkpoint_with_step(runner, runner.iter, meta, gathers=False)
        if is_main_process():
            runner.logger.warning(f"Saved before the end: '{path}', to go on from by --resume.")

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float]) -> None:
        """Save the checkpoint if it is the best.

        Raises:
            ValueError: A score of ``save_best`` was not evaluated.
        """
        if self.save_best:
            self._save_best_checkpoint(runner, metrics)

    def best(self, runner: Runner) -> list[dict]:
        """The best checkpoints so far: ``key``, ``rule``, ``value`` and ``checkpoint`` of each.

        Returns:
            list[dict]: One entry for each score of ``save_best`` that chose a checkpoint.
        """
        info = runner.message_hub.runtime_info
        return [
            dict(
                key=key,
                rule=rule,
                value=info[self._noted('best_score', key)],
                checkpoint=info[self._noted('best_ckpt', key)],
            )
            for key, rule in self._keys_and_rules()
            if self._noted('best_ckpt', key) in info
        ]

    def _init_rule(self, rules: Any, key_indicators: Any) -> None:
        try:
            super()._init_rule(rules, key_indicators)
        except ValueError:
            raise ValueError(
                f'save_best={key_indicators}: the checkpoint hook cannot tell whether less or more '
                "of it is better. Set rule='less' or rule='greater', or name a score that it "
                f'knows: less is better where the name contains one of {LESS_IS_BETTER}, more with '
                f'one of {GREATER_IS_BETTER}.'
            ) from None

    def _keys_and_rules(self) -> list[tuple[str, str]]:
        return list(zip(self.key_indicators, self.rules, strict=True)) if self.save_best else []

    def _noted(self, what: str, key: str) -> str:
        """Name under which MMEngine keeps the best score or checkpoint in the message hub."""
        return what if len(self.key_indicators) == 1 else f'{what}_{key}'

    def _resume_best(self, runner: Runner) -> None:
        """Find the best checkpoints again, also in a work directory that was moved."""
        info = runner.message_hub.runtime_info
        for key, _ in self._keys_and_rules():
            noted = info.get(self._noted('best_ckpt', key))
            if noted is None:
                continue
            name = Path(noted).name
            if key != 'auto' and not name.startswith(f'best_{key}_'.replace('/', '_')):
                # Of another score: MMEngine would compare the two.
                for what in ('best_ckpt', 'best_score'):
                    runner.message_hub.pop_info(self._noted(what, key))
                path = None
            else:
                path = self.file_backend.join_path(self.out_dir, name)
                runner.message_hub.update_info(self._noted('best_ckpt', key), path)
            if len(self.key_indicators) == 1:
                self.best_ckpt_path = path
            else:
                self.best_ckpt_path_dict[key] = path
        # MMEngine notes a new best in a checkpoint of the training only after it has saved one in
        # this process; without the note, a training resumed later would not know of it.
        self.last_ckpt = info.get('last_ckpt')

    def _save_best_checkpoint(self, runner: Runner, metrics: dict[str, float]) -> None:
        scores = chosen_scores(self.key_indicators, metrics, runner.logger)
        super()._save_best_checkpoint(runner, scores)
        self.file_backend.flush()

    def _rotate(self, runner: Runner, step: int) -> str | None:
        """Note ``step`` among the kept checkpoints; return the path that it displaces."""
        if self.max_keep_ckpts <= 0 or (self.keep_ckpt_ids and self.keep_ckpt_ids[-1] == step):
            return None
        outdated = None
        if len(self.keep_ckpt_ids) == self.max_keep_ckpts:
            name = self.filename_tmpl.format(self.keep_ckpt_ids.popleft())
            outdated = self.file_backend.join_path(self.out_dir, name)
        self.keep_ckpt_ids.append(step)
        runner.message_hub.update_info('keep_ckpt_ids', list(self.keep_ckpt_ids))
        return outdated

    def _check_accumulation(self, runner: Runner) -> None:
        wrappers = getattr(runner.optim_wrapper, 'optim_wrappers', {'': runner.optim_wrapper})
        for name, wrapper in wrappers.items():
            count = getattr(wrapper, '_accumulative_counts', 1)
            if not self.by_epoch and self.interval > 0 and self.interval % count:
                runner.logger.warning(
                    f"Optimizer '{name}' accumulates {count} iterations and a checkpoint is "
                    f'saved every {self.interval}: gradients gathered between two updates are '
                    f'not saved. Choose an interval that is a multiple of {count}.'
                )


def _gather_buffers(model: nn.Module) -> list | None:
    """The image buffers of all ranks on rank 0; None on a single rank or without buffers."""
    buffers = getattr(unwrapped(model), _BUFFERS, None)
    if get_world_size() == 1 or not isinstance(buffers, nn.Module):
        return None
    own = OrderedDict((k, v.cpu()) for k, v in buffers.state_dict().items())
    return gather_object(own, dst=0)
