"""Metrics of a set of translations beside a set of real pictures."""

import hashlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from mmengine.logging import print_log
from PIL import Image

from sesim_mmagic.datasets.picture_folder import broken_to_skip
from sesim_mmagic.datasets.sources import list_pictures, load_picture
from sesim_mmagic.registry import METRICS, MODELS
from sesim_mmagic.utils.checks import check_ints

from . import set_scores
from .translation_metric import Entry, TranslationMetric

SCORES = ('fid', 'kid', 'density', 'coverage')


@dataclass(frozen=True)
class Picture:
    """What is kept of one: its file if known, size (H, W), digest of its pixels, features (C,)."""

    path: str | None
    size: tuple[int, int]
    digest: str
    features: np.ndarray


@METRICS.register_module()
class DistributionScores(TranslationMetric):
    """FID, KID, density and coverage of translations, all in the features of one network.

    Every source and every real picture counts once, by its path (``img_{domain}_path``). Pictures
    are those that would be saved, in 8 bits; neither their order nor the number of ranks matters.
    Features of real pictures are kept in memory over the validations of a run.

    Keys of results end in the network's name: ``fid_clean``, ``fid_legacy`` (see
    :class:`InceptionFeatures` for which to compare with what), ``fid_vgg16``; and so ``kid_clean``
    (mean over subsets), ``kid_std_clean``, ``density_clean``, ``coverage_clean``. For the best
    checkpoint: ``save_best='distribution/kid_clean'``.

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
        **kwargs: Those of :class:`TranslationMetric`.

    Raises:
        ValueError: If an argument is unknown or too small, or does not fit another; on
            evaluation, if there are fewer pictures than a score needs.
        FileNotFoundError: At the first sample, if weights or real pictures are missing.
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
        **kwargs: Any,
    ) -> None:
        super().__init__(target_domain, source_domain, **kwargs)
        check_ints(self, 1, kid_subsets=kid_subsets, num_neighbours=num_neighbours)
        check_ints(self, 2, kid_subset_size=kid_subset_size)
        if isinstance(scores, str) or not scores or not set(scores) <= set(SCORES):
            raise ValueError(
                f'DistributionScores: scores must be a list of {", ".join(SCORES)}; got {scores!r}'
            )
        if real_size is not None and real_folder is None:
            raise ValueError('DistributionScores: real_size is for the pictures of a real_folder')
        self.feature_net = MODELS.build(feature_net or dict(type='sesim_mmagic.InceptionFeatures'))
        self.scores = tuple(scores)
        self.kid_subsets = kid_subsets
        self.kid_subset_size = kid_subset_size
        self.num_neighbours = num_neighbours
        self.seed = seed
        self.real_folder = real_folder
        self.real_size = real_size
        self.skip_broken = skip_broken
        self.max_image_pixels = max_image_pixels
        self._files: list[str] | None = None
        self._real_features: dict[str, np.ndarray] = {}
        self._has_warned = False

    def init_weights(self) -> None:
        """Read the weights of the feature network."""
        self.feature_net.init_weights()

    def check_pictures(self, pictures: Mapping[str, Sequence[str]]) -> None:
        """Raise ``ValueError`` if there are too few pictures for the scores."""
        real = pictures.get(self.target_domain)
        if self.real_folder is not None:
            real = self._real_files(self.real_folder)
        sources = pictures.get(str(self.source_domain))
        if real is not None and sources is not None:
            self._check_numbers(len(real), len(sources))

    def entries(self, data_samples: Sequence[dict]) -> list[Entry]:
        """Features of the translations of a batch and, without ``real_folder``, of its truths."""
        return [Entry(None, (self._fake(sample), self._real(sample))) for sample in data_samples]

    def _fake(self, sample: dict) -> Picture | None:
        """A translation, which is another one at each validation; None where it counted before."""
        path, is_new = self.source(sample)
        if not is_new:
            return None
        pixels = self.picture(sample, f'fake_{self.target_domain}')
        return Picture(path, pixels.shape[:2], digest_of(pixels), self._features(pixels))

    def _real(self, sample: dict) -> Picture | None:
        if self.real_folder is not None:
            self._real_files(self.real_folder)  # errors come with the first sample
            return None
        key = f'img_{self.target_domain}'
        return self._real_picture(sample.get(f'{key}_path'), self.picture(sample, key))

    def _real_picture(self, path: str | None, pixels: np.ndarray) -> Picture:
        """A real picture; its features are kept by its pixels, whatever its file is."""
        digest = digest_of(pixels)
        if digest not in self._real_features:
            self._real_features[digest] = self._features(pixels)
        return Picture(path, pixels.shape[:2], digest, self._real_features[digest])

    def _features(self, pixels: np.ndarray) -> np.ndarray:
        batch = torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))[None]
        return self.feature_net.to(self.device)(batch)[0].cpu().numpy()

    def _real_files(self, folder: str) -> list[str]:
        """Pictures of ``real_folder``, checked when they are first asked for."""
        if self._files is None:
            try:
                paths = list_pictures(folder)
            except (FileNotFoundError, ValueError) as error:
                raise FileNotFoundError(
                    f'DistributionScores: real_folder: {error}; name a folder of real pictures'
                ) from None
            broken = broken_to_skip(paths, self.skip_broken, self.max_image_pixels)
            self._files = [path for path in paths if path not in broken]
        return self._files

    def _read_folder(self, folder: str, size: tuple[int, int]) -> list[Picture]:
        """The pictures of ``real_folder``, bicubic with antialiasing.

        One that turned bad since it was checked is left out, with an error in the log.
        """
        pictures = []
        for path in self._real_files(folder):
            try:
                pixels = load_picture(path, max_pixels=self.max_image_pixels)
            except (OSError, ValueError) as error:
                print_log(f'real_folder: {error}; scores are without it', 'current', logging.ERROR)
                continue
            image = Image.fromarray(np.ascontiguousarray(pixels[..., ::-1]))
            image = image.resize((size[1], size[0]), Image.Resampling.BICUBIC)
            pictures.append(self._real_picture(path, np.asarray(image)))
        return pictures

    def compute_metrics(self, results: list[tuple[Picture | None, Picture | None]]) -> dict:
        """Scores of the pictures of all ranks; the main process reads ``real_folder``."""
        fakes = [fake for fake, _ in results if fake is not None]
        if self.real_folder is None:
            reals = [real for _, real in results if real is not None]
        else:
            reals = self._read_folder(self.real_folder, self.real_size or only_size(fakes))
        real, fake = features_once(reals), features_once(fakes)
        self._check_numbers(len(real), len(fake))
        scores = {}
        if 'fid' in self.scores:
            self._warn_of_few(len(real), len(fake), real.shape[1])
            scores['fid'] = set_scores.fid(real, fake)
        if 'kid' in self.scores:
            subset_size = min(self.kid_subset_size, len(real), len(fake))
            # Subsets that take all there is are one and the same.
            subsets = self.kid_subsets if subset_size < max(len(real), len(fake)) else 1
            kid = set_scores.kid(real, fake, subsets, subset_size, self.seed)
            scores['kid'], scores['kid_std'] = kid
        if {'density', 'coverage'} & set(self.scores):
            both = set_scores.density_and_coverage(real, fake, self.num_neighbours)
            scores['density'], scores['coverage'] = both
        # KID comes with its deviation; whoever asks for one of the last two gets that alone.
        keys = [key for key in scores if key.removesuffix('_std') in self.scores]
        return {f'{key}_{self.feature_net.name}': scores[key] for key in keys}

    def _check_numbers(self, num_real: int, num_fake: int) -> None:
        for score in self.scores:
            least = 2 if score in ('fid', 'kid') else self.num_neighbours + 2
            if min(num_real, num_fake) < least:
                raise ValueError(
                    f'DistributionScores: {score} needs at least {least} real pictures and '
                    f'as many translations of different sources, got {num_real} and {num_fake}; '
                    'test on more pictures, or leave it out of scores'
                )

    def _warn_of_few(self, num_real: int, num_fake: int, num_features: int) -> None:
        if min(num_real, num_fake) < num_features and not self._has_warned:
            print_log(
                f'FID of {num_real} real pictures and {num_fake} translations in {num_features} '
                'features: fewer pictures than features leave covariances without full rank, and '
                'the figure is too high; compare it with such of equally many pictures alone',
                'current',
                logging.WARNING,
            )
            self._has_warned = True


def digest_of(pixels: np.ndarray) -> str:
    """Digest of a picture (H, W, 3), uint8."""
    return hashlib.sha256(repr(pixels.shape).encode() + pixels.tobytes()).hexdigest()


def features_once(pictures: Sequence[Picture]) -> np.ndarray:
    """Features (pictures, C) of every file once, in an order that follows from their pixels.

    Pictures without a file count one by one.
    """
    by_file = {picture.path or number: picture for number, picture in enumerate(pictures)}
    in_order = sorted(by_file.values(), key=lambda picture: picture.digest)
    return np.array([picture.features for picture in in_order])


def only_size(fakes: Sequence[Picture]) -> tuple[int, int]:
    """The one size of all translations; ``ValueError`` if there are several, or none."""
    sizes = {fake.size for fake in fakes}
    if len(sizes) != 1:
        raise ValueError(
            'DistributionScores: pictures of real_folder are brought to the size of the '
            f'translations, but these have {sorted(sizes) or "none"}; give real_size'
        )
    return sizes.pop()
