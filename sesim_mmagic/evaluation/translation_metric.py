"""What all metrics of translations share: samples in, pictures as they would be saved."""

import logging
import re
from collections.abc import Mapping, Sequence
from itertools import zip_longest
from typing import Any, NamedTuple

import numpy as np
import torch
from mmagic.evaluation.metrics.base_sample_wise_metric import BaseSampleWiseMetric
from mmengine.device import get_device
from mmengine.dist import all_gather_object, broadcast_object_list, gather_object, is_main_process
from mmengine.logging import print_log

from sesim_mmagic.utils.samples import is_repeated


class Entry(NamedTuple):
    """What a metric keeps of a sample.

    ``source`` is the path by which it counts once, None where it counts by itself; ``measured`` is
    None where the source was measured in another sample.
    """

    source: str | None
    measured: Any


class TranslationMetric(BaseSampleWiseMetric):
    """Measures what a test loop yields, a picture at a time, in MMEngine's loops and MMagic's.

    A subclass says what to keep of a sample (:meth:`measure`) and, where it is not the mean, what
    follows from all of them (:meth:`compute_metrics`).

    Every source counts once, by its path (``img_{source_domain}_path``), however often the test
    set begins its smaller folder again and a sampler repeats samples to make the shares of ranks
    even. Samples without a path count one by one.

    Args:
        target_domain (str): Domain of the translations: samples hold ``fake_{target_domain}``.
        source_domain (str, optional): Domain of the sources. Defaults to None: the metric does
            not look at them; they are told apart by the other domain of a sample that names one.
        prefix (str, optional): What the names of scores begin with. Defaults to None: that of the
            metric.
        device (str, optional): Where networks of the metric run. Defaults to None: the accelerator.
    """

    metric = 'translation'  # MMagic wants a name; ours give several numbers

    def __init__(
        self,
        target_domain: str,
        source_domain: str | None = None,
        *,
        prefix: str | None = None,
        device: str | None = None,
    ) -> None:
        # The other arguments of MMagic's class and MMEngine's, as ``collect_device``, belong to
        # their ways to measure and to gather, which are not taken here.
        super().__init__(prefix=prefix, device=device or get_device())
        self.target_domain = target_domain
        self.source_domain = source_domain
        #: Whether an error ends the evaluation. If not, it is logged and the metric gives no
        #: scores: the pictures and the other scores of a test are kept.
        self.raises = True
        #: Why the last evaluation gave no scores, the same on all ranks; None if it did.
        self.failure: str | None = None
        self._error: Exception | None = None
        self._seen: set[str] = set()

    def init_weights(self) -> None:
        """Read the weights of the metric's networks, if it has any; else the first picture does.

        Raises:
            FileNotFoundError: If a file is missing or cannot be downloaded.
            ValueError: If a file holds something else.
        """

    def check_pictures(self, pictures: Mapping[str, Sequence[str]]) -> None:
        """Raise an error, before the work, if there are not the pictures that the scores need.

        Args:
            pictures (Mapping[str, Sequence[str]]): Paths of the test set's pictures by their
                domain, each once.
        """

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Measure the samples of a batch; ``ValueError`` if one lacks what the metric needs."""
        if self._error is None:
            try:
                self.results.extend(self.entries(data_samples))
            except Exception as error:
                if self.raises:
                    raise
                self.give_up(error)

    def give_up(self, error: Exception) -> None:
        """Measure nothing more until the evaluation, which will give no scores."""
        self._error = error
        name = type(self).__name__
        print_log(f'{name} gives no scores. {error}', 'current', logging.ERROR)

    def entries(self, data_samples: Sequence[dict]) -> list[Entry]:
        """One entry for each sample (they are gathered from all ranks)."""
        entries = []
        for sample in data_samples:
            path, is_new = self.source(sample)
            entries.append(Entry(path, self.measure(sample) if is_new else None))
        return entries

    def source(self, sample: Mapping) -> tuple[str | None, bool]:
        """Path of a sample's source, if it is named, and whether it stands in no other sample.

        The source domain or, where the metric does not know it, the other one of the sample.
        """
        domain = self.source_domain
        if domain is None:
            named = (re.fullmatch('img_(.+)_path', key) for key in sample)
            others = {match[1] for match in named if match} - {self.target_domain}
            domain = others.pop() if len(others) == 1 else None
        path = sample.get(f'img_{domain}_path')
        is_new = path not in self._seen and not is_repeated(sample, domain)
        if path is not None:
            self._seen.add(path)
        return path, is_new

    def measure(self, sample: Mapping) -> Any:
        """What the metric keeps of one sample (small: it is gathered from all ranks)."""
        raise NotImplementedError

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Scores of what :meth:`measure` gave for every source: the mean of each value."""
        return {key: float(np.mean([r[key] for r in results])) for key in results[0]}

    def evaluate(self, size: int | None = None) -> dict[str, float]:
        """Scores over all ranks, the same on each, of a test set of ``size`` samples.

        ``size`` is None where MMagic gave it to :meth:`prepare`.
        """
        scores = self._scores(self.size if size is None else size)
        is_said = self._error is not None
        self._error = self.failure = None
        self._seen.clear()
        self.results.clear()
        if not isinstance(scores, Exception):
            return scores
        if self.raises:
            raise scores
        self.failure = str(scores) or type(scores).__name__
        if not is_said:
            self.give_up(scores)
            self._error = None
        return {}

    def _scores(self, size: int) -> dict[str, float] | Exception:
        """The scores, or what prevents them; no rank may stop before the others have a result."""
        errors = [error for error in all_gather_object(self._error) if error is not None]
        if errors:
            return errors[0]
        # MMEngine's collect_results passes them through a folder that all machines share.
        parts = gather_object(self.results)
        scores: list = [None]
        if is_main_process():
            # In the order of the data set: ranks take every R-th sample, the last some once more.
            rows = zip_longest(*parts)
            entries = [entry for row in rows for entry in row if entry is not None][:size]
            try:
                computed = self.compute_metrics(self._of_each_source(entries))
                prefix = f'{self.prefix}/' if self.prefix else ''
                scores = [{f'{prefix}{key}': value for key, value in computed.items()}]
            except Exception as error:
                scores = [error]
        broadcast_object_list(scores)
        return scores[0]

    def _of_each_source(self, entries: Sequence[Entry]) -> list:
        """What was measured of every source, once."""
        sources: dict[int | str, Any] = {}
        for number, entry in enumerate(entries):
            if entry.measured is not None:
                sources.setdefault(number if entry.source is None else entry.source, entry.measured)
        if not sources:
            raise ValueError(
                f'{type(self).__name__}: no source was translated into {self.target_domain}'
            )
        return list(sources.values())

    def picture(self, sample: Mapping, key: str, shape: str = '(3, H, W)') -> np.ndarray:
        """The picture under ``key`` as it would be saved: (H, W, 3), RGB, uint8.

        Raises:
            ValueError: If the sample has none, or of another shape.
        """
        images = sample.get(key)
        if images is None:
            raise ValueError(
                f'{type(self).__name__}: a sample has no {key}, only {sorted(sample)}; the test '
                'pipeline must load that domain, and the model translate into the target domain'
            )
        if images.dim() != len(shape.split(',')):
            raise ValueError(
                f'{type(self).__name__}: {key} must have the shape {shape}, got '
                f'{tuple(images.shape)}'
            )
        return to_rgb(images)

    def pair(self, sample: Mapping, domain: str | None) -> tuple[np.ndarray, np.ndarray]:
        """The picture ``img_{domain}``, then the translation that is compared with it.

        Raises:
            ValueError: If the sample lacks one of them, or their sizes differ.
        """
        keys = f'img_{domain}', f'fake_{self.target_domain}'
        first, translated = (self.picture(sample, key) for key in keys)
        sizes = ['{} x {}'.format(*picture.shape[:2]) for picture in (first, translated)]
        if sizes[0] != sizes[1]:
            raise ValueError(
                f'{type(self).__name__}: {keys[1]} has {sizes[1]} pixels, {keys[0]} '
                f'({sample.get(f"{keys[0]}_path")}) has {sizes[0]}; they must have one size'
            )
        return first, translated

    def translations(self, sample: Mapping) -> np.ndarray:
        """All translations of a source as they would be saved: (N, H, W, 3).

        Those under ``fakes_{target_domain}``, as a multi-modal translator gives them, or the one
        under ``fake_{target_domain}``.
        """
        key = f'fakes_{self.target_domain}'
        if key not in sample:
            return self.picture(sample, f'fake_{self.target_domain}')[None]
        return self.picture(sample, key, '(N, 3, H, W)')


def to_rgb(images: torch.Tensor) -> np.ndarray:
    """BGR tensors (..., 3, H, W) in [0, 255] as the RGB pictures (..., H, W, 3) to be saved."""
    images = images.detach().float().round().clamp(0, 255).byte().cpu()
    return np.ascontiguousarray(np.moveaxis(images.numpy()[..., ::-1, :, :], -3, -1))


def to_batch(pictures: np.ndarray, device: torch.device | str = 'cpu') -> torch.Tensor:
    """RGB pictures (H, W, 3) or (B, H, W, 3), uint8, as a float batch (B, 3, H, W) in [0, 255]."""
    batch = torch.from_numpy(pictures.reshape(-1, *pictures.shape[-3:]))
    return batch.permute(0, 3, 1, 2).to(device).float()
