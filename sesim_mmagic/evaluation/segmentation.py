"""Whether a segmentation network still finds the true classes in translations."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from sesim_mmagic.registry import METRICS, MODELS
from sesim_mmagic.utils.images import list_images, read_numbers, shown

from . import scores
from .translation_metric import TranslationMetric, to_batch


@METRICS.register_module()
class SegmentationScores(TranslationMetric):
    """Scores of a segmentation of the translations against the labels of their sources.

    The protocol of label to photograph on Cityscapes: FCN scores of pix2pix and CycleGAN, the
    same with a DRN in CUT and in the SeSim paper. All scores come from one confusion matrix,
    that of all labelled pixels of all pictures, and lie in [0, 1] (papers give percent):

    * ``pixel_accuracy`` (pixAcc): share of pixels that have their true class;
    * ``class_accuracy`` (classAcc): share of a class's pixels that have it, mean over the
      classes that the labels hold;
    * ``miou``: intersection over union of a class, mean over the classes that labels or
      segmentation hold;
    * ``mAP``: the same number, under the name that it has in DRN's code and hence in the tables of
      CUT and SeSim.

    Args:
        target_domain (str): Samples hold ``fake_{target_domain}``.
        source_domain (str): Samples hold ``img_{source_domain}_path``, whose name the label
            file has.
        label_folder (str): Folder of the label files, named as their sources whatever the suffix:
            one channel of label numbers, any size. Of several in folders inside it that one counts
            whose folders are called as the source's.
        segmentor (dict): Config of the segmentation network, from RGB pictures (B, 3, H, W) in
            [0, 255] to logits (B, ``num_classes``, H, W), as :class:`NetworkSegmentor`.
        num_classes (int): Number of classes.
        size (tuple[int, int], optional): Height and width at which pictures (resized: bicubic,
            antialiased, 8 bits) and labels (nearest) are compared; CUT and SeSim take 128 x 256.
            Defaults to None: that of the translation.
        label_map (dict[int, int], optional): Class of each label number, for instance the
            ``trainId`` of each of Cityscapes' ids; numbers that it does not name are ignored.
            Defaults to None: label numbers are classes.
        ignore_index (int): Class of pixels that do not count. Defaults to 255.
        **kwargs: Those of :class:`TranslationMetric`.
    """

    default_prefix = 'segmentation'

    def __init__(
        self,
        target_domain: str,
        source_domain: str,
        *,
        label_folder: str,
        segmentor: dict,
        num_classes: int,
        size: tuple[int, int] | None = None,
        label_map: Mapping[int, int] | None = None,
        ignore_index: int = 255,
        **kwargs: Any,
    ) -> None:
        super().__init__(target_domain, source_domain, **kwargs)
        self.label_folder = Path(label_folder)
        self.segmentor = MODELS.build(segmentor).eval()
        self.num_classes = num_classes
        self.size = size
        self.label_map = label_map
        self.ignore_index = ignore_index

    def init_weights(self) -> None:
        """Read the segmentor's weights, if it has any."""
        if hasattr(self.segmentor, 'init_weights'):
            self.segmentor.init_weights()

    def check_pictures(self, pictures: Mapping[str, Sequence[str]]) -> None:
        """Raise ``FileNotFoundError`` if a source has no labels."""
        for path in pictures.get(str(self.source_domain), ()):
            self._label_file(path)

    def measure(self, sample: Mapping) -> dict[str, np.ndarray]:
        """Confusion matrix of one translation, int64.

        Raises:
            FileNotFoundError: If there is no label file.
            ValueError: If its labels, or the segmentor's logits, do not fit.
        """
        picture = self.picture(sample, f'fake_{self.target_domain}')
        if self.size is not None:
            picture = _resized(picture, self.size, Image.Resampling.BICUBIC)
        key = f'img_{self.source_domain}_path'
        path = sample.get(key)
        if not path:
            raise ValueError(
                f'SegmentationScores: a sample has no {key}, only {sorted(sample)}; the test '
                'pipeline must pack the path of its source (meta_keys of PackInputs)'
            )
        truth = self._read_labels(self._label_file(path), picture.shape[:2])
        given = self._segment(picture)
        counts = truth != self.ignore_index
        return dict(
            confusion=scores.confusion_matrix(truth[counts], given[counts], self.num_classes)
        )

    def compute_metrics(self, results: list[dict]) -> dict[str, float]:
        """Scores over the pictures of all ranks.

        Raises:
            ValueError: If no pixel has a class.
        """
        confusion = sum(result['confusion'] for result in results)
        if not confusion.any():
            raise ValueError(
                f'SegmentationScores: no pixel of {len(results)} label files in '
                f'{self.label_folder} has a class; see label_map and ignore_index'
            )
        miou = scores.mean_iou(confusion)
        return dict(
            pixel_accuracy=scores.pixel_accuracy(confusion),
            class_accuracy=scores.class_accuracy(confusion),
            miou=miou,
            mAP=miou,
        )

    @cached_property
    def _label_files(self) -> dict[str, list[Path]]:
        """Files of ``label_folder`` by their names without suffixes."""
        files: dict[str, list[Path]] = {}
        for path in list_images(self.label_folder).files:
            files.setdefault(path.stem, []).append(path)
        return files

    def _label_file(self, source_path: str) -> Path:
        source = Path(source_path)

        def shared_folders(path: Path) -> int:
            """Number of folders in ``label_folder``; -1 if the source's are called otherwise."""
            parts = path.relative_to(self.label_folder).parent.parts
            return len(parts) if source.parts[-1 - len(parts) : -1] == parts else -1

        files = self._label_files.get(source.stem, [])
        if len(files) > 1 and (most := max(map(shared_folders, files))) >= 0:
            files = [path for path in files if shared_folders(path) == most]
        if len(files) != 1:
            raise FileNotFoundError(
                f'SegmentationScores: label_folder {shown(self.label_folder)} must hold one '
                f'picture of label numbers that is named as {shown(source)}, but holds '
                f'{" and ".join(map(shown, files[:2])) or "none"}'
            )
        return files[0]

    def _read_labels(self, path: Path, size: tuple[int, int]) -> np.ndarray:
        """Class of every pixel of a picture of this size (H, W), int64."""
        numbers = read_numbers(path)
        if numbers.ndim != 2:
            raise ValueError(
                f'SegmentationScores: {path} has {numbers.shape[2]} channels; labels are one '
                'channel of numbers, not colours'
            )
        # Nearest keeps label numbers and the indices of pictures with a palette.
        numbers = _resized(numbers, size, Image.Resampling.NEAREST).astype(np.int64)
        classes = numbers
        if self.label_map is not None:
            classes = np.full_like(numbers, self.ignore_index)
            for number, label in self.label_map.items():
                classes[numbers == number] = label
        counted = classes[classes != self.ignore_index]
        wrong = np.unique(counted[(counted < 0) | (counted >= self.num_classes)])
        if len(wrong):
            raise ValueError(
                f'SegmentationScores: {path} holds the classes {wrong.tolist()}, and there are '
                f'num_classes={self.num_classes}, from 0; name what does not count by '
                f'ignore_index (now {self.ignore_index}) or leave it out of label_map'
            )
        return classes

    @torch.no_grad()
    def _segment(self, picture: np.ndarray) -> np.ndarray:
        """Most likely class of every pixel."""
        logits = self.segmentor.to(self.device)(to_batch(picture, self.device))
        expected = (1, self.num_classes, *picture.shape[:2])
        if tuple(logits.shape) != expected:
            raise ValueError(
                f'SegmentationScores: the segmentor gave logits of shape {tuple(logits.shape)} '
                f'where (1, num_classes, H, W) = {expected} was expected'
            )
        return logits.argmax(dim=1)[0].cpu().numpy()


def _resized(
    picture: np.ndarray, size: tuple[int, int], resampling: Image.Resampling
) -> np.ndarray:
    return np.array(Image.fromarray(picture).resize((size[1], size[0]), resampling))
