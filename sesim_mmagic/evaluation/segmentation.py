"""Whether a segmentation network still finds the true classes in translations."""

from collections.abc import Mapping, Sequence
from pathlib import Path, PurePath
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
    * ``class_accuracy`` (classAcc): share of a class's pixels that are found, mean over the
      classes that the labels hold;
    * ``miou``: hits / (true + found - hits) of a class, mean over the classes that labels or
      segmentation hold;
    * ``mAP``: the name of ``miou`` in DRN's code and hence in the tables of CUT and SeSim. No
      average precision is computed there: it is the same number, repeated under this name.

    A class that is missing from all labels is left out, as in DRN's code.

    Args:
        target_domain (str): Samples hold ``fake_{target_domain}``.
        source_domain (str): Samples hold ``img_{source_domain}_path``, whose name the label
            file has.
        label_folder (str): Folder of the label files, named as their sources whatever the suffix:
            one channel of label numbers, any size (resized to the picture, nearest). Of several in
            folders inside it that one counts whose folders are called as the source's.
        segmentor (dict): Config of the segmentation network, from RGB pictures (B, 3, H, W) in
            [0, 255] to logits (B, ``num_classes``, H, W), as ``TorchScriptSegmentor``.
        num_classes (int): Number of classes.
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
        label_map: Mapping[int, int] | None = None,
        ignore_index: int = 255,
        **kwargs: Any,
    ) -> None:
        super().__init__(target_domain, source_domain, **kwargs)
        self.label_folder = Path(label_folder)
        self._label_files: dict[str, list[Path]] | None = None
        self.segmentor = MODELS.build(segmentor).eval()
        self.num_classes = num_classes
        self.label_map = label_map
        self.ignore_index = ignore_index

    def init_weights(self) -> None:
        """Read the segmentor's weights, if it has any."""
        if hasattr(self.segmentor, 'init_weights'):
            self.segmentor.init_weights()

    def check_pictures(self, pictures: Mapping[str, Sequence[str]]) -> None:
        """Look whether every source has its labels."""
        for path in pictures.get(self.source_domain, ()):
            self._label_file({f'img_{self.source_domain}_path': path})

    def measure(self, sample: Mapping) -> dict[str, np.ndarray]:
        """Confusion matrix of one translation, int64.

        Raises:
            FileNotFoundError: If there is no label file.
            ValueError: If its labels, or the segmentor's logits, do not fit.
        """
        picture = self.picture(sample, f'fake_{self.target_domain}')
        truth = self._read_labels(self._label_file(sample), picture.shape[:2])
        found = self._segment(picture)
        counted = truth != self.ignore_index
        confusion = scores.confusion_matrix(truth[counted], found[counted], self.num_classes)
        return dict(confusion=confusion)

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

    def _label_file(self, sample: Mapping) -> Path:
        key = f'img_{self.source_domain}_path'
        if not sample.get(key):
            raise ValueError(
                f'SegmentationScores: a sample has no {key}, only {sorted(sample)}; the test '
                'pipeline must pack the path of its source (meta_keys of PackInputs)'
            )
        source = PurePath(sample.get(key))
        if self._label_files is None:
            self._label_files = {}
            for path in list_images(self.label_folder).files:
                self._label_files.setdefault(path.stem, []).append(path)
        found = self._label_files.get(source.stem, [])
        if len(found) > 1:
            folders = {path: path.relative_to(self.label_folder).parent.parts for path in found}
            equal = {
                path: len(parts)
                for path, parts in folders.items()
                if parts == source.parent.parts[len(source.parent.parts) - len(parts) :]
            }
            found = [path for path in equal if equal[path] == max(equal.values())] or found
        if len(found) != 1:
            raise FileNotFoundError(
                f'SegmentationScores: label_folder {shown(self.label_folder)} must hold one '
                f'picture of label numbers that is named as {shown(source)}, but holds '
                f'{" and ".join(map(shown, found[:2])) or "none"}'
            )
        return found[0]

    def _read_labels(self, path: Path, size: tuple[int, int]) -> np.ndarray:
        """Class of every pixel of a picture of this size (H, W), int64."""
        numbers = read_numbers(path)
        if numbers.ndim != 2:
            raise ValueError(
                f'SegmentationScores: {path} has {numbers.shape[2]} channels; labels are one '
                'channel of numbers, not colours'
            )
        # Nearest keeps label numbers and the indices of pictures with a palette.
        resized = Image.fromarray(numbers).resize(size[::-1], Image.Resampling.NEAREST)
        classes = numbers = np.array(resized, np.int64)
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
