"""Training loop that resumes without reading again what was already trained on."""

import logging

from mmengine.logging import print_log
from mmengine.runner import IterBasedTrainLoop
from mmengine.runner.loops import _InfiniteDataloaderIterator
from torch.utils.data import BatchSampler

from sesim_mmagic.engine.metric_check import check_metrics, prepare_validation
from sesim_mmagic.registry import LOOPS

_SEED_KEY = 'sampler_seed'


@LOOPS.register_module()
class ResumableIterTrainLoop(IterBasedTrainLoop):
    """MMEngine's iteration-based loop whose data order continues at once after a resume.

    After a resume at iteration ``i``, MMEngine 0.10.7 loads ``i`` batches and throws them away.
    This loop tells the sampler instead: ``sampler.start = i * batch_size``, the samples that this
    rank has consumed, and draws a new iterator from the data loader. One iteration is one batch,
    whatever the number of accumulated gradients. A sampler without ``start`` falls back to
    MMEngine's way, with a warning.

    The seed of the sampler is kept in the message hub and so in the checkpoint: where the config
    names no seed, a new process draws another one before it reads the checkpoint.

    When it is built, before anything of a checkpoint is read, it looks for what the losses and
    scores need (:func:`~sesim_mmagic.engine.metric_check.check_metrics`).

    Args: as :class:`mmengine.runner.IterBasedTrainLoop`.
    """

    def __init__(self, runner, *args, **kwargs):
        super().__init__(runner, *args, **kwargs)
        check_metrics(runner)

    def run(self):
        """Train to ``max_iters`` and return the model."""
        if self.runner.val_loop is not None:
            prepare_validation(self.runner)
        self.runner.call_hook('before_train')
        self.runner.call_hook('before_train_epoch')
        try:
            self._train()
        finally:
            self._drop_iterator()
        self.runner.call_hook('after_train_epoch')
        self.runner.call_hook('after_train')
        return self.runner.model

    def _train(self):
        if self._iter > 0:
            self._continue_data()
        else:
            self._note_sampler_seed()
        while self._iter < self._max_iters and not self.stop_training:
            self.runner.model.train()
            self.run_iter(next(self.dataloader_iterator))
            self._decide_current_val_interval()
            if self._validation_due():
                self.runner.val_loop.run()

    def _drop_iterator(self):
        """Stop data loading workers now: in a reference cycle each may block for seconds."""
        self.dataloader_iterator = None
        self.dataloader._iterator = None  # where workers are persistent

    def _validation_due(self):
        if self.runner.val_loop is None or self._iter < self.val_begin:
            return False
        return self._iter % self.val_interval == 0 or self._iter == self._max_iters

    def _resumable_sampler(self):
        """The sampler if it can start anywhere, else None."""
        batches = self.dataloader.batch_sampler
        # Another batch sampler may regroup samples: its batches are not `batch_size` in a row.
        if type(batches) is BatchSampler and hasattr(batches.sampler, 'start'):
            return batches.sampler
        return None

    def _note_sampler_seed(self):
        sampler = self._resumable_sampler()
        if getattr(sampler, 'seed', None) is not None:
            self.runner.message_hub.update_info(_SEED_KEY, int(sampler.seed))

    def _continue_data(self):
        sampler = self._resumable_sampler()
        if sampler is None:
            print_log(
                f'{type(self.dataloader.batch_sampler.sampler).__name__} has no attribute '
                f'`start`: {self._iter} batches are loaded and dropped to continue the data '
                "order. Use sampler=dict(type='sesim_mmagic.ResumableSampler') to resume at once.",
                logger='current',
                level=logging.WARNING,
            )
            for _ in range(self._iter):
                next(self.dataloader_iterator)
            return
        self._restore_sampler_seed(sampler)
        sampler.start = self._iter * self.dataloader.batch_sampler.batch_size
        # MMEngine drew an iterator before it read the checkpoint, at the first sample. Persistent
        # workers hold a copy of the data set with the seed of that moment: start new ones.
        self._drop_iterator()
        self.dataloader_iterator = _InfiniteDataloaderIterator(self.dataloader)

    def _restore_sampler_seed(self, sampler):
        if _SEED_KEY not in self.runner.message_hub.runtime_info:
            return
        seed = self.runner.message_hub.get_info(_SEED_KEY)
        sampler.seed = seed
        if hasattr(self.dataloader.dataset, 'sample_seed'):
            self.dataloader.dataset.sample_seed = seed
