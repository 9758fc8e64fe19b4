"""What all metrics of translations share: samples in, pictures as they would be saved."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from mmagic.evaluation.metrics.base_sample_wise_metric import BaseSampleWiseMetric
from mmengine.device import get_device
from mmengine.dist import all_gather_object, broadcast_object_list, collect_results, is_main_process
from mmengine.logging import print_log

from sesim_mmagic.utils.samples import is_repeated


class Entry(NamedTuple):
    """What a metric keeps of a sample: its source, by which it counts once, and what was measured.

    ``source`` is None where the sample does not name it: then it counts by itself. ``measured``
    is None where the source was measured in another sample.
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
        **kwargs: Those of MMEngine's ``BaseMetric`` (``collect_device``, ``prefix``) and
            ``device``, where networks of the metric run (by default the accelerator).
    """

    metric = 'translation'  # MMagic wants a name; ours give several numbers

    def __init__(self, target_domain: str, source_domain: str | None = None, **kwargs: Any) -> None:
        super().__init__(**{'device': get_device(), **kwargs})
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
        """Read the weights of the metric's networks, if it has any.

        They are read when the first picture comes; this is for whoever wants to know before a
        training that they are there.

        Raises:
            FileNotFoundError: If a file is missing or cannot be downloaded.
            ValueError: If a file holds something else.
        """

    def check_pictures(self, pictures: Mapping[str, Sequence[str]]) -> None:
        """Look, before the work, whether there are the pictures that the scores need.

        Args:
            pictures (Mapping[str, Sequence[str]]): Paths of the test set's pictures by their
                domain, each once.

        Raises:
            FileNotFoundError: If a file that belongs to a picture is missing.
            ValueError: If there are too few of them.
        """

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Measure the samples of a batch.

        Raises:
            ValueError: If a sample lacks what the metric needs.
        """
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
        return [
            Entry(self.source_path(sample), None if self.is_known(sample) else self.measure(sample))
            for sample in data_samples
        ]

    def source_path(self, sample: Mapping) -> str | None:
        """Path of a sample's source, or None."""
        domain = self._source_of(sample)
        return None if domain is None else sample.get(f'img_{domain}_path')

    def is_known(self, sample: Mapping) -> bool:
        """Whether a sample's source stands in another one, too; it is remembered from now on."""
        path = self.source_path(sample)
        known = path in self._seen or is_repeated(sample, self._source_of(sample))
        if path is not None:
            self._seen.add(path)
        return known

    def _source_of(self, sample: Mapping) -> str | None:
        """The source domain or, where the metric was not told, the other one of a sample."""
        if self.source_domain is not None:
            return self.source_domain
        named = [k[len('img_') : -len('_path')] for k in sample if _names_a_picture(k)]
        others = [domain for domain in named if domain != self.target_domain]
        return others[0] if len(others) == 1 else None

    def measure(self, sample: Mapping) -> Any:
        """What the metric keeps of one sample (small: it is gathered from all ranks)."""
        raise NotImplementedError

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Scores of what :meth:`measure` gave for every source: the mean of each value."""
        return {key: float(np.mean([r[key] for r in results])) for key in results[0]}

    def evaluate(self, size: int | None = None) -> dict[str, float]:
        """Scores over all ranks, the same on each.

        Args:
            size (int, optional): Number of samples of the test set. Defaults to None: MMagic gave
                it to :meth:`prepare`.
        """
        found = self._scores(self.size if size is None else size)
        known, self._error, self.failure = self._error, None, None
        self._seen.clear()
        self.results.clear()
        if not isinstance(found, Exception):
            return found
        if self.raises:
            raise found
        self.failure = str(found) or type(found).__name__
        if known is None:
            self.give_up(found)
            self._error = None
        return {}

    def _scores(self, size: int) -> dict[str, float] | Exception:
        """The scores, or what prevents them."""
        errors = [error for error in all_gather_object(self._error) if error is not None]
        if errors:
            return errors[0]
        entries = self.gather(size)
        found: list = [None]
        if is_main_process():
            try:
                found = [self._named(self.compute_metrics(self.counted(entries)))]
            except Exception as error:  # the other ranks wait for a result
                found = [error]
        broadcast_object_list(found)
        return found[0]

    def gather(self, size: int) -> list[Entry] | None:
        """The entries of all ranks in the order of the test set, on the main process."""
        return collect_results(self.results, size, self.collect_device)

    def counted(self, entries: Sequence[Entry]) -> list:
        """What was measured of every source, once."""
        sources = {}
        for number, entry in enumerate(entries):
            if entry.measured is not None:
                sources.setdefault(number if entry.source is None else entry.source, entry.measured)
        if not sources:
            raise ValueError(
                f'{type(self).__name__}: no source was translated into {self.target_domain}'
            )
        return list(sources.values())

    def _named(self, scores: Mapping[str, float]) -> dict[str, float]:
        return {f'{self.prefix}/{k}' if self.prefix else k: v for k, v in scores.items()}

    def picture(self, sample: Mapping, key: str) -> np.ndarray:
        """The picture under ``key`` as it would be saved: (H, W, 3), RGB, uint8.

        Raises:
            ValueError: If the sample has none, or several.
        """
        return to_rgb(self._images(sample, key, 'one picture (3, H, W)', 3))

    def translations(self, sample: Mapping) -> np.ndarray:
        """All translations of a source as they would be saved: (N, H, W, 3).

        Those under ``fakes_{target_domain}``, as a multi-modal translator gives them, or the one
        under ``fake_{target_domain}``.

        Raises:
            ValueError: If the sample has none, or they have another shape.
        """
        key = f'fakes_{self.target_domain}'
        if key not in sample:
            return self.picture(sample, f'fake_{self.target_domain}')[None]
        return to_rgb(self._images(sample, key, 'pictures of one source (N, 3, H, W)', 4))

    def _images(self, sample: Mapping, key: str, wanted: str, dimensions: int) -> torch.Tensor:
        images = sample.get(key)
        if images is None:
            raise ValueError(
                f'{type(self).__name__}: a sample has no {key}, only {sorted(sample)}; the test '
                'pipeline must load that domain, and the model translate into the target domain'
            )
        if images.dim() != dimensions:
            raise ValueError(
                f'{type(self).__name__}: {key} must be {wanted}, got shape {tuple(images.shape)}'
            )
        return images


def _names_a_picture(key: str) -> bool:
    return key.startswith('img_') and key.endswith('_path')


def to_rgb(images: torch.Tensor) -> np.ndarray:
    """BGR tensors (..., 3, H, W) in [0, 255] as the RGB pictures (..., H, W, 3) to be saved."""
    images = images.detach().float().round().clamp(0, 255).byte().cpu()
    return np.ascontiguousarray(np.moveaxis(images.numpy()[..., ::-1, :, :], -3, -1))


def to_batch(pictures: np.ndarray, device: torch.device | str = 'cpu') -> torch.Tensor:
    """RGB pictures (H, W, 3) or (B, H, W, 3), uint8, as a float batch (B, 3, H, W) in [0, 255]."""
    batch = torch.from_numpy(pictures.reshape(-1, *pictures.shape[-3:]))
    return batch.permute(0, 3, 1, 2).to(device).float()
