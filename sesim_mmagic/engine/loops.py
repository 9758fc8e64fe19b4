"""Training loop that resumes without reading again what was already trained on."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from mmengine.dist import get_rank, get_world_size
from mmengine.runner import IterBasedTrainLoop, Runner
from mmengine.runner.loops import _InfiniteDataloaderIterator
from torch import nn
from torch.utils.data import BatchSampler

from sesim_mmagic.datasets.checking import remember_in
from sesim_mmagic.datasets.picture_folder import settle_left_out
from sesim_mmagic.engine.checks import check_held_out, check_metrics
from sesim_mmagic.engine.hooks.checkpoint import SafeCheckpointHook
from sesim_mmagic.engine.resume import ResumeFromConfig
from sesim_mmagic.registry import LOOPS
from sesim_mmagic.utils.random import seed_generators

_SEED_KEY = 'sampler_seed'
# How many samples all ranks together have consumed, on how many ranks, out of how many.
_SAMPLES_KEY, _RANKS_KEY, _LENGTH_KEY = 'consumed_samples', 'ranks', 'dataset_samples'


@LOOPS.register_module()
class ResumableIterTrainLoop(IterBasedTrainLoop):
    """MMEngine's iteration-based loop, made to resume as its config says, exactly and at once.

    * A work directory that holds another training is refused, and on resume the config counts:
      see :class:`~sesim_mmagic.engine.resume.ResumeFromConfig`.
    * Random numbers of an iteration follow from (seed, rank, iteration) alone.
    * After a resume at iteration ``i``, MMEngine 0.10.7 loads ``i`` batches and throws them away.
      This loop tells the sampler instead where to start: after as many samples as all ranks
      together have consumed, whatever batch size and number of ranks were theirs. One iteration
      is one batch, whatever the number of accumulated gradients. A sampler without the attribute
      ``start`` falls back to MMEngine's way, with a warning.
    * The seed of the sampler is kept in the message hub and so in the checkpoint: where the config
      names no seed, a new process draws another one before it reads the checkpoint.
    * So is the list of pictures that are left out, which all ranks share (see
      :func:`~sesim_mmagic.datasets.picture_folder.settle_left_out`).
    * What a validation would stumble over is looked for before the first iteration. Where reading
      data or a validation fails all the same, a checkpoint is written before the training ends.

    None of this is a hook that a list of hooks in a config could leave out.

    When it is built, before anything of a checkpoint is read, it looks for what the losses and
    scores need (:func:`~sesim_mmagic.engine.checks.check_metrics`).

    Args: as :class:`mmengine.runner.IterBasedTrainLoop`.
    """

    dataloader_iterator: Any

    def __init__(self, runner: Runner, *args: Any, **kwargs: Any) -> None:
        remember_in(runner.work_dir)  # data sets are built next, and look at their pictures
        super().__init__(runner, *args, **kwargs)
        self._begin, self._samples_at_begin = 0, 0
        # Between the reading of a checkpoint and its use MMEngine calls hooks and nothing else.
        if not any(isinstance(hook, ResumeFromConfig) for hook in runner.hooks):
            runner.register_hook(ResumeFromConfig())
        check_metrics(runner)
        check_held_out(runner, self.dataloader.dataset)

    def run(self) -> nn.Module:
        """Train to ``max_iters`` and return the model.

        Raises:
            ValueError: Nothing is left to train.
        """
        self._begin = self._iter
        self._check_iterations()
        self.runner.call_hook('before_train')
        self.runner.call_hook('before_train_epoch')
        try:
            self._train()
        finally:
            self._drop_iterator()
        self.runner.call_hook('after_train_epoch')
        self.runner.call_hook('after_train')
        return self.runner.model

    def _train(self) -> None:
        self._settle_pictures()
        if self._iter > 0:
            self._continue_data()
        else:
            self._note_sampler_seed()
        hub = self.runner.message_hub
        hub.update_info(_RANKS_KEY, get_world_size())
        hub.update_info(_LENGTH_KEY, len(self.dataloader.dataset))
        while self._iter < self._max_iters and not self.stop_training:
            self.runner.model.train()
            with self._saved_before_end():
                data_batch = next(self.dataloader_iterator)
            self.run_iter(data_batch)
            self._decide_current_val_interval()
            if self._validation_due():
                with self._saved_before_end():
                    self.runner.val_loop.run()

    @contextmanager
    def _saved_before_end(self) -> Iterator[None]:
        """Between two iterations. What fails there ends the training, which is saved before."""
        try:
            yield
        except Exception:
            hooks = [h for h in self.runner.hooks if isinstance(h, SafeCheckpointHook)]
            for hook in hooks if self.iterations_done else ():
                try:
                    hook.save_between_iterations(self.runner)
                except Exception as error:  # what ends the training is the other error
                    self.runner.logger.error(f'No checkpoint could be saved: {error}')
            raise

    @property
    def iterations_done(self) -> int:
        """Iterations that this process has trained."""
        return self._iter - self._begin

    def run_iter(self, data_batch: dict) -> None:
        """One iteration, whose random numbers follow from (seed, rank, iteration) alone.

        The data have seeds of their own, because workers load them ahead of time.
        """
        seed_generators(self.runner.seed, get_rank(), self._iter)
        done = self._samples_at_begin + (self._iter + 1 - self._begin) * self._samples_a_step
        self.runner.message_hub.update_info(_SAMPLES_KEY, done)
        super().run_iter(data_batch)

    def _drop_iterator(self) -> None:
        """Stop data loading workers now: in a reference cycle each may block for seconds."""
        self.dataloader_iterator = None
        self.dataloader._iterator = None  # where workers are persistent

    def _start_iterator(self) -> None:
        """Read on with new workers."""
        self._drop_iterator()
        self.dataloader_iterator = _InfiniteDataloaderIterator(self.dataloader)

    def _validation_due(self) -> bool:
        if self.runner.val_loop is None or self._iter < self.val_begin:
            return False
        return self._iter % self.val_interval == 0 or self._iter == self._max_iters

    def _resumable_sampler(self) -> Any:
        """The sampler if it can start anywhere (it has ``start``), else None."""
        batches = self.dataloader.batch_sampler
        # Another batch sampler may regroup samples: its batches are not `batch_size` in a row.
        if type(batches) is BatchSampler and hasattr(batches.sampler, 'start'):
            return batches.sampler
        return None

    def _note_sampler_seed(self) -> None:
        sampler = self._resumable_sampler()
        if getattr(sampler, 'seed', None) is not None:
            self.runner.message_hub.update_info(_SEED_KEY, int(sampler.seed))

    @property
    def _samples_a_step(self) -> int:
        """Samples that all ranks consume together in an iteration."""
        return (self.dataloader.batch_size or 1) * get_world_size()

    def _check_iterations(self) -> None:
        if self._iter > self._max_iters:
            raise ValueError(
                f'The checkpoint is at iteration {self._iter}, beyond the end of the training: '
                f'train_cfg.max_iters is {self._max_iters}. Raise it, or resume from an earlier '
                'checkpoint.'
            )
        if self._iter == self._max_iters:
            self.runner.logger.warning(
                f'The training is complete: {self._iter} of {self._max_iters} iterations are '
                'done. To train longer, raise train_cfg.max_iters.'
            )

    def _continue_data(self) -> None:
        self._samples_at_begin = self._consumed_samples()
        own = self._samples_at_begin // get_world_size()
        sampler = self._resumable_sampler()
        if sampler is None:
            batches = own // (self.dataloader.batch_size or 1)
            self.runner.logger.warning(
                f'{type(self.dataloader.batch_sampler.sampler).__name__} has no attribute '
                f'`start`: {batches} batches are loaded and dropped to continue the data '
                "order. Use sampler=dict(type='sesim_mmagic.ResumableSampler') to resume at once."
            )
            for _ in range(batches):
                next(self.dataloader_iterator)
            return
        self._restore_sampler_seed(sampler)
        sampler.start = own
        # MMEngine drew an iterator before it read the checkpoint, at the first sample. Persistent
        # workers hold a copy of the data set with the seed of that moment.
        self._start_iterator()

    def _settle_pictures(self) -> None:
        """Leave out what the checkpoint leaves out, on all ranks, and note that for the next."""
        loops = [self, self.runner.val_loop] if self.runner.val_loop else [self]
        datasets = [loop.dataloader.dataset for loop in loops]
        if settle_left_out(self.runner.message_hub, datasets, resumed=self._iter > 0):
            # MMEngine has drawn an iterator whose workers hold the data set as it was.
            self._start_iterator()

    def _consumed_samples(self) -> int:
        """Samples of all ranks before this iteration; says where they were counted otherwise."""
        known, now = self.runner.message_hub.runtime_info, self._iter * self._samples_a_step
        consumed = known.get(_SAMPLES_KEY, now)
        written, ranks = known.get(_RANKS_KEY, get_world_size()), get_world_size()
        length = known.get(_LENGTH_KEY, len(self.dataloader.dataset))
        lines = []
        if written != ranks:
            lines.append(
                f'The checkpoint was written by {written} rank(s), now there are {ranks}: training '
                'goes on, but not bit for bit.'
            )
        if consumed != now:
            lines.append(
                f'The data go on after the {consumed} samples that were trained on, where '
                f'{self._iter} iterations of {self._samples_a_step} would be {now}.'
            )
        if length != len(self.dataloader.dataset):
            lines.append(
                f'train_dataloader.dataset had {length} samples when the checkpoint was written, '
                f'now {len(self.dataloader.dataset)}: their order is another one.'
            )
        for line in lines:
            self.runner.logger.warning(line)
        return consumed

    def _restore_sampler_seed(self, sampler: Any) -> None:
        """Give the sampler the seed of the checkpoint, unless the config names one."""
        # The runner's own copy holds the seed of the checkpoint by now.
        cfg = self.runner.cfg
        named = cfg.get('randomness') or {}
        is_named = named.get('seed') is not None and not named.get('diff_rank_seed')
        seed = self.runner.message_hub.runtime_info.get(_SEED_KEY)
        if (
            is_named
            or seed is None
            or 'seed' in self.runner.cfg.train_dataloader.get('sampler', {})
        ):
            return
        sampler.seed = seed
        if hasattr(self.dataloader.dataset, 'sample_seed'):
            self.dataloader.dataset.sample_seed = seed
