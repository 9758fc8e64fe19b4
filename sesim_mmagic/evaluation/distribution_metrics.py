"""Metrics of a set of translations beside a set of real pictures."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from mmengine.dist import all_gather_object, get_dist_info
from mmengine.logging import print_log
from PIL import Image

from sesim_mmagic.datasets.picture_folder import broken_to_skip
from sesim_mmagic.datasets.sources import list_pictures, load_picture
from sesim_mmagic.registry import METRICS, MODELS

from . import set_scores
from .feature_cache import BATCH_SIZE, FeatureCache, picture_digest
from .translation_metric import Entry, TranslationMetric

SCORES = ('fid', 'kid', 'density', 'coverage')


@dataclass(frozen=True)
class Seen:
    """A picture that counts once: its file if known, its pixels' digest, its features (C,)."""

    path: str | None
    digest: str
    features: np.ndarray


@METRICS.register_module()
class DistributionScores(TranslationMetric):
    """FID, KID, density and coverage of translations, all in the features of one network.

    Every source and every real picture counts once, by its path (``img_{domain}_path``), however
    often a test set repeats the pictures of its smaller folder. Samples without paths count one by
    one. Pictures are those that would be saved, in 8 bits; neither their order nor the number of
    ranks matters.

    Keys of results end in the network's name: ``fid_clean``, ``fid_legacy`` (see
    :class:`InceptionFeatures` for which to compare with what), ``fid_vgg16``; and so ``kid_clean``
    (mean over subsets), ``kid_std_clean``, ``density_clean``, ``coverage_clean``. For the best
    checkpoint: ``save_best='distribution/fid_clean'``.

    FID is biased upwards by few pictures, so only figures of equally many compare; KID is not
    biased. A set smaller than the number of features is warned of.

    Args:
        target_domain (str): Domain of the translations ``fake_{target_domain}``.
        source_domain (str): Domain of the sources, by whose paths translations count once.
        feature_net (dict, optional): Config of a :class:`FeatureNetwork`. Defaults to None:
            ``dict(type='sesim_mmagic.InceptionFeatures')``.
        scores (Sequence[str]): Which of ``'fid'``, ``'kid'``, ``'density'`` and ``'coverage'``.
            Defaults to all.
        kid_subsets (int): Number of random subsets for KID. Defaults to 100.
        kid_subset_size (int): Pictures of each set in a subset; the size of the smaller set where
            that is less. Defaults to 1000.
        num_neighbours (int): Neighbours for density and coverage. Defaults to 5, as their paper.
        seed (int): Seed of KID's subsets. Defaults to 0.
        real_folder (str, optional): Folder of real pictures, folders below it included, instead
            of the samples' ``img_{target_domain}``. Defaults to None.
        real_size (tuple[int, int], optional): Height and width in pixels that the pictures of
            ``real_folder`` are brought to, by Pillow's bicubic resizing with antialiasing, the
            aspect ratio not kept. Defaults to None: the size of the translations.
        skip_broken (bool): Whether pictures of ``real_folder`` that cannot be used are left out.
            Defaults to False: they are an error.
        max_image_pixels (int, optional): Most pixels of a picture of ``real_folder``. Defaults to
            None: 178956970, Pillow's limit.
        cache_dir (str, optional): Folder that keeps features of real pictures over runs (see
            :class:`FeatureCache`). Defaults to None: they are kept over validations of a run.
        **kwargs: Those of :class:`TranslationMetric`.

    Raises:
        ValueError: If an argument is unknown or too small, or does not fit another. On
            evaluation: if there are fewer pictures than a score needs.
        FileNotFoundError: At the first sample, if weights or pictures of ``real_folder`` are
            missing.
    """

    default_prefix = 'distribution'

    def __init__(
        self,
        target_domain: str,
        source_domain: str,
        feature_net: dict | None = None,
        scores: Sequence[str] = SCORES,
        kid_subsets: int = 100,
        kid_subset_size: int = 1000,
        num_neighbours: int = 5,
        seed: int = 0,
        real_folder: str | None = None,
        real_size: tuple[int, int] | None = None,
        skip_broken: bool = False,
        max_image_pixels: int | None = None,
        cache_dir: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(target_domain, source_domain, **kwargs)
        check_at_least(1, kid_subsets=kid_subsets, num_neighbours=num_neighbours)
        check_at_least(2, kid_subset_size=kid_subset_size)
        if isinstance(scores, str) or not scores or not set(scores) <= set(SCORES):
            raise ValueError(
                f'DistributionScores: scores must be a list of {", ".join(SCORES)}; got {scores!r}'
            )
        if real_size is not None and real_folder is None:
            raise ValueError('DistributionScores: real_size is for the pictures of a real_folder')
        network = MODELS.build(feature_net or dict(type='sesim_mmagic.InceptionFeatures'))
        self.cache = FeatureCache(network, self.device, cache_dir)
        self.scores = tuple(scores)
        self.kid_subsets = kid_subsets
        self.kid_subset_size = kid_subset_size
        self.num_neighbours = num_neighbours
        self.seed = seed
        self.real_folder = real_folder
        self.real_size = real_size
        self.skip_broken = skip_broken
        self.max_image_pixels = max_image_pixels
        self._real: list[str] | None = None
        self._fake_sizes: set[tuple[int, int]] = set()
        self._folder_pictures: list[Seen] = []
        self._warned = False

    def init_weights(self) -> None:
        """Read the weights of the feature network."""
        self.cache.prepare()

    def check_pictures(self, pictures: Mapping[str, Sequence[str]]) -> None:
        """Look whether there are enough pictures for the scores."""
        real = pictures.get(self.target_domain)
        if self.real_folder is not None:
            real = self._real_files()
        sources = pictures.get(self.source_domain)
        if real is not None and sources is not None:
            self._check_numbers(len(real), len(sources))

    def entries(self, data_samples: Sequence[dict]) -> list[Entry]:
        """Features of the translations of a batch and, without ``real_folder``, of its truths."""
        if self.real_folder is not None:
            self._real_files()
        # Translations are new at every validation; real pictures come again.
        new = [not self.is_known(sample) for sample in data_samples]
        fakes = self._features(data_samples, 'fake', self.cache.compute, new)
        reals = [None] * len(fakes)
        if self.real_folder is None:
            reals = self._features(data_samples, 'img', self.cache, [True] * len(fakes))
        return [
            Entry(None, dict(fake=fake, real=real)) for fake, real in zip(fakes, reals, strict=True)
        ]

    def _real_files(self) -> list[str]:
        """Pictures of ``real_folder``, looked at when they are first asked for."""
        if self._real is None:
            try:
                paths = list_pictures(self.real_folder)
            except (FileNotFoundError, ValueError) as error:
                raise FileNotFoundError(
                    f'DistributionScores: real_folder: {error}; name a folder of real pictures'
                ) from None
            broken = broken_to_skip(paths, self.skip_broken, self.max_image_pixels)
            self._real = [path for path in paths if path not in broken]
        return self._real

    def _features(
        self,
        samples: Sequence[dict],
        kind: str,
        compute: Callable[[list], list],
        wanted: Sequence[bool],
    ) -> list[Seen | None]:
        """Features of the samples' translations (kind 'fake') or real pictures ('img')."""
        chosen = [sample for sample, is_wanted in zip(samples, wanted, strict=True) if is_wanted]
        pictures = [self.picture(sample, f'{kind}_{self.target_domain}') for sample in chosen]
        domain = self.target_domain
        if kind == 'fake':
            domain = self.source_domain
            self._fake_sizes.update(picture.shape[:2] for picture in pictures)
        paths = [sample.get(f'img_{domain}_path') for sample in chosen]
        seen = iter(_seen(paths, pictures, compute(pictures)))
        return [next(seen) if is_wanted else None for is_wanted in wanted]

    def evaluate(self, size: int | None = None) -> dict[str, float]:
        """Scores over all ranks, which share the work of reading ``real_folder``."""
        if self.real_folder is not None:
            sizes = set().union(*all_gather_object(self._fake_sizes))
            try:
                self._folder_pictures = self._read_folder(self.real_size or only_size(sizes))
            except Exception as error:
                if self.raises:
                    raise
                self.give_up(self._error or error)
        self._fake_sizes.clear()
        return super().evaluate(size)

    def _read_folder(self, size: tuple[int, int]) -> list[Seen]:
        """What this rank sees of ``real_folder``."""
        rank, world_size = get_dist_info()
        files = self._real_files()[rank::world_size]
        seen = []
        for start in range(0, len(files), BATCH_SIZE):
            paths = files[start : start + BATCH_SIZE]
            read = {path: self._read_real(path, size) for path in paths}
            pictures = {path: pixels for path, pixels in read.items() if pixels is not None}
            seen += _seen(list(pictures), list(pictures.values()), self.cache([*pictures.values()]))
        return seen

    def _read_real(self, path: str, size: tuple[int, int]) -> np.ndarray | None:
        """A picture of ``real_folder`` as RGB (height, width), bicubic with antialiasing.

        None, and an error in the log, where it turned bad since it was looked at.
        """
        try:
            picture = load_picture(path, max_pixels=self.max_image_pixels)
        except (OSError, ValueError) as error:
            print_log(f'real_folder: {error}; scores are without it', 'current', logging.ERROR)
            return None
        image = Image.fromarray(np.ascontiguousarray(picture[..., ::-1]))
        return np.asarray(image.resize((size[1], size[0]), Image.Resampling.BICUBIC))

    def gather(self, size: int) -> list[Entry] | None:
        """The entries of all ranks, and on all of them the pictures of ``real_folder``."""
        parts = all_gather_object(self._folder_pictures)
        self._folder_pictures = [picture for part in parts for picture in part]
        return super().gather(size)

    def compute_metrics(self, results: list[dict]) -> dict[str, float]:
        """Scores of the pictures of all ranks."""
        real = self._folder_pictures or [result['real'] for result in results]
        fake = [result['fake'] for result in results if result['fake'] is not None]
        self._check_numbers(len(_files(real)), len(_files(fake)))
        real, fake = features_once(real), features_once(fake)
        found = {}
        if 'fid' in self.scores:
            self._warn_of_few(*real.shape, len(fake))
            found['fid'] = set_scores.fid(real, fake)
        if 'kid' in self.scores:
            smaller = min(len(real), len(fake))
            subset_size = min(self.kid_subset_size, smaller)
            # Subsets that take all there is are one and the same.
            subsets = self.kid_subsets if subset_size < max(len(real), len(fake)) else 1
            found['kid'], found['kid_std'] = set_scores.kid(
                real, fake, subsets, subset_size, self.seed
            )
        if {'density', 'coverage'} & set(self.scores):
            density, coverage = set_scores.density_and_coverage(real, fake, self.num_neighbours)
            both = dict(density=density, coverage=coverage)
            found.update({name: both[name] for name in both if name in self.scores})
        return {f'{score}_{self.cache.network.name}': value for score, value in found.items()}

    def _check_numbers(self, num_real: int, num_fake: int) -> None:
        least = dict.fromkeys(('fid', 'kid'), 2)
        least.update(dict.fromkeys(('density', 'coverage'), self.num_neighbours + 2))
        for score in self.scores:
            if min(num_real, num_fake) < least[score]:
                raise ValueError(
                    f'DistributionScores: {score} needs at least {least[score]} real pictures and '
                    f'as many translations of different sources, got {num_real} and {num_fake}; '
                    'test on more pictures, or leave it out of scores'
                )

    def _warn_of_few(self, num_real: int, num_features: int, num_fake: int) -> None:
        if min(num_real, num_fake) < num_features and not self._warned:
            print_log(
                f'FID of {num_real} real pictures and {num_fake} translations in {num_features} '
                'features: fewer pictures than features leave covariances without full rank, and '
                'the figure is too high; compare it with such of equally many pictures alone',
                'current',
                logging.WARNING,
            )
            self._warned = True


def check_at_least(least: int, **settings: int) -> None:
    """``ValueError`` if a setting of the metric is smaller."""
    for name, value in settings.items():
        if value < least:
            raise ValueError(f'DistributionScores: {name} must be at least {least}, got {value}')


def _seen(
    paths: Sequence[str | None], pictures: Sequence[np.ndarray], features: Sequence[np.ndarray]
) -> list[Seen]:
    digests = map(picture_digest, pictures)
    return [Seen(*entry) for entry in zip(paths, digests, features, strict=True)]


def _files(pictures: Sequence[Seen]) -> dict[str | int, Seen]:
    """Pictures by their files, each once; those without a name by their number."""
    return {picture.path or number: picture for number, picture in enumerate(pictures)}


def features_once(pictures: Sequence[Seen]) -> np.ndarray:
    """Features (pictures, C) of every file once, in an order that follows from their pixels."""
    in_order = sorted(_files(pictures).values(), key=lambda picture: picture.digest)
    return np.array([picture.features for picture in in_order])


def only_size(sizes: set[tuple[int, int]]) -> tuple[int, int]:
    """The one size of all translations; ``ValueError`` if there are several, or none."""
    if len(sizes) != 1:
        raise ValueError(
            'DistributionScores: pictures of real_folder are brought to the size of the '
            f'translations, but these have {sorted(sizes) or "none"}; give real_size'
        )
    return next(iter(sizes))
