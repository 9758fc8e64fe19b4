"""What metrics of a set of translations beside a set of real pictures share."""

import hashlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from mmengine.logging import print_log
from PIL import Image

from sesim_mmagic.datasets.picture_folder import broken_to_skip
from sesim_mmagic.datasets.sources import list_pictures, load_picture

from .translation_metric import Entry, TranslationMetric


@dataclass(frozen=True)
class Picture:
    """What is kept of one: its file if known, size (H, W), digest of its pixels, features."""

    path: str | None
    size: tuple[int, int]
    digest: str
    features: Any


class SetMetric(TranslationMetric):
    """Compares all translations with all real pictures.

    A subclass says what it keeps of a picture (:meth:`extract`), what follows from all of them
    (:meth:`compare`), and how many it needs (:meth:`check_numbers`).

    Every source and every real picture counts once, by its path (``img_{domain}_path``). Pictures
    are those that would be saved, in 8 bits; neither their order nor the number of ranks matters.
    What is kept of real pictures stays in memory over the validations of a run.

    Args:
        target_domain (str): Domain of the translations ``fake_{target_domain}``.
        source_domain (str): Domain of the sources, by whose paths translations count once.
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
        ValueError: If ``real_size`` is given without ``real_folder``; on evaluation, if there are
            too few pictures.
        FileNotFoundError: At the first sample, if real pictures are missing.
    """

    def __init__(
        self,
        target_domain: str,
        source_domain: str,
        *,
        real_folder: str | None = None,
        real_size: tuple[int, int] | None = None,
        skip_broken: bool = False,
        max_image_pixels: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(target_domain, source_domain, **kwargs)
        if real_size is not None and real_folder is None:
            raise ValueError(
                f'{type(self).__name__}: real_size is for the pictures of a real_folder'
            )
        self.real_folder = real_folder
        self.real_size = real_size
        self.skip_broken = skip_broken
        self.max_image_pixels = max_image_pixels
        self._files: list[str] | None = None
        self._of_real: dict[str, Any] = {}

    def extract(self, pixels: np.ndarray, is_real: bool) -> Any:
        """What is kept of a picture (H, W, 3), RGB, uint8; small, for all ranks give theirs."""
        raise NotImplementedError

    def compare(self, real: list, fake: list) -> dict[str, float]:
        """Scores of what :meth:`extract` gave for every picture, in an order of their pixels."""
        raise NotImplementedError

    def check_numbers(self, num_real: int, num_fake: int) -> None:
        """Raise ``ValueError`` if these are too few pictures for the scores."""
        raise NotImplementedError

    def check_pictures(self, pictures: Mapping[str, Sequence[str]]) -> None:
        """Raise ``ValueError`` if there are too few pictures for the scores."""
        real = pictures.get(self.target_domain)
        if self.real_folder is not None:
            real = self._real_files(self.real_folder)
        sources = pictures.get(str(self.source_domain))
        if real is not None and sources is not None:
            self.check_numbers(len(real), len(sources))

    def entries(self, data_samples: Sequence[dict]) -> list[Entry]:
        """The translations of a batch and, without ``real_folder``, its truths."""
        return [Entry(None, (self._fake(sample), self._real(sample))) for sample in data_samples]

    def _fake(self, sample: dict) -> Picture | None:
        """A translation, which is another one at each validation; None where it counted before."""
        path, is_new = self.source(sample)
        if not is_new:
            return None
        pixels = self.picture(sample, f'fake_{self.target_domain}')
        return Picture(path, pixels.shape[:2], digest_of(pixels), self.extract(pixels, False))

    def _real(self, sample: dict) -> Picture | None:
        if self.real_folder is not None:
            self._real_files(self.real_folder)  # errors come with the first sample
            return None
        key = f'img_{self.target_domain}'
        return self._real_picture(sample.get(f'{key}_path'), self.picture(sample, key))

    def _real_picture(self, path: str | None, pixels: np.ndarray) -> Picture:
        """A real picture; what is kept of it is found by its pixels, whatever its file is."""
        digest = digest_of(pixels)
        if digest not in self._of_real:
            self._of_real[digest] = self.extract(pixels, True)
        return Picture(path, pixels.shape[:2], digest, self._of_real[digest])

    def _real_files(self, folder: str) -> list[str]:
        """Pictures of ``real_folder``, checked when they are first asked for."""
        if self._files is None:
            try:
                paths = list_pictures(folder)
            except (FileNotFoundError, ValueError) as error:
                raise FileNotFoundError(
                    f'{type(self).__name__}: real_folder: {error}; name a folder of real pictures'
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
            reals = self._read_folder(self.real_folder, self.real_size or self._only_size(fakes))
        real, fake = of_each_file(reals), of_each_file(fakes)
        self.check_numbers(len(real), len(fake))
        return self.compare(real, fake)

    def _only_size(self, fakes: Sequence[Picture]) -> tuple[int, int]:
        """The one size of all translations; ``ValueError`` if there are several, or none."""
        sizes = {fake.size for fake in fakes}
        if len(sizes) != 1:
            raise ValueError(
                f'{type(self).__name__}: pictures of real_folder are brought to the size of the '
                f'translations, but these have {sorted(sizes) or "none"}; give real_size'
            )
        return sizes.pop()


def digest_of(pixels: np.ndarray) -> str:
    """Digest of a picture (H, W, 3), uint8."""
    return hashlib.sha256(repr(pixels.shape).encode() + pixels.tobytes()).hexdigest()


def of_each_file(pictures: Sequence[Picture]) -> list:
    """Features of every file once, in an order that follows from their pixels.

    Pictures without a file count one by one.
    """
    by_file = {picture.path or number: picture for number, picture in enumerate(pictures)}
    return [x.features for x in sorted(by_file.values(), key=lambda picture: picture.digest)]
