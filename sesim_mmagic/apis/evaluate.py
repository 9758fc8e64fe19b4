"""Scores of translations that lie in a folder, whoever made them."""

import warnings
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import torch

from sesim_mmagic.apis.feature_nets import (
    SET_WORDS,
    WORDS,
    feature_settings,
    set_feature_settings,
)
from sesim_mmagic.datasets.checking import find_broken
from sesim_mmagic.evaluation import (
    AppearanceScores,
    DistributionScores,
    PairedScores,
    StructureDistance,
)
from sesim_mmagic.evaluation.patch_distance import count_levels
from sesim_mmagic.evaluation.scores import SSIM_WINDOW
from sesim_mmagic.evaluation.structure_distance import ALL_POSITIONS
from sesim_mmagic.networks.state_dicts import WeightsMissing
from sesim_mmagic.utils.images import FolderListing, check_picture, list_images, read_picture, shown
from sesim_mmagic.utils.names import pictures_by_name

#: Scores of two sets of pictures; the last needs no network.
SET_SCORES = ('fid', 'kid', 'density', 'coverage', 'appearance')
#: What an option for weights may say where they are missing.
_ADVICE = dict(feature_net=WORDS, set_features=SET_WORDS, lpips='the path of the file, or random')
_DOMAINS: dict[str, Any] = dict(target_domain='translation', source_domain='source')


def evaluate_folder(
    translations: str | Path,
    real: str | Path | None = None,
    truth: str | Path | None = None,
    source: str | Path | None = None,
    *,
    real_size: tuple[int, int] | None = None,
    scores: Sequence[str] = SET_SCORES,
    set_features: str = 'inception:clean',
    feature_net: str = 'torchvision',
    lpips: str | None = None,
    max_image_pixels: int | None = None,
    progress: Callable[[list], Iterable] = iter,
    note: Callable[[str], None] = warnings.warn,
) -> dict[str, float]:
    """Score a folder of translations by the metrics that a training is evaluated with.

    Pictures of folders inside the folders count. Those of ``truth`` and ``source`` are found by
    the names of the translations, folders included, whatever their suffixes: by the rule by which
    translations are named (see :func:`~sesim_mmagic.utils.names.output_names`).

    Args:
        translations (str | Path): Folder of translations.
        real (str | Path, optional): Folder of real pictures of the target domain: FID, KID,
            density and coverage, distance of patches and spread of colours. They are brought to
            the size of the translations.
        truth (str | Path, optional): Folder of what the translations should be: PSNR, SSIM,
            boundary F1 and, with ``lpips``, LPIPS.
        source (str | Path, optional): Folder of what was translated: structure distance.
        real_size (tuple[int, int], optional): Height and width that pictures of ``real`` are
            brought to. Defaults to None: those of the translations, which then have one size.
        scores (Sequence[str]): Which scores of ``real``: 'fid', 'kid', 'density', 'coverage', and
            'appearance', which needs no network. Defaults to all.
        set_features (str): Features in which sets are compared, a word such as 'package' or the
            path of VGG16's weights, see
            :func:`~sesim_mmagic.apis.feature_nets.set_feature_settings`; names of scores say
            which. Defaults to 'inception:clean'.
        feature_net (str): Features of the structure distance, a word such as 'package', see
            :func:`~sesim_mmagic.apis.feature_nets.feature_settings`. Defaults to 'torchvision',
            VGG16.
        lpips (str, optional): AlexNet weights for LPIPS: 'torchvision', a path or 'random'.
            Defaults to None: no LPIPS.
        max_image_pixels (int, optional): Pictures of more pixels are refused. Defaults to None:
            Pillow's limit, 178956970.
        progress (Callable): Wraps the list of files that is walked through. Defaults to ``iter``.
        note (Callable): Is told which files of a folder are left out. Defaults to
            ``warnings.warn``.

    Returns:
        dict[str, float]: Scores by name.

    Raises:
        FileNotFoundError: If a folder or weights are missing.
        ValueError: If there is nothing to compare with, a folder holds no picture, pictures cannot
            be read, names or sizes do not fit, or there are fewer pictures than a score needs.
    """
    if real_size is not None and min(real_size) < 1:
        raise ValueError(f'real_size (--real-size) must be positive, got {tuple(real_size)}')
    if lpips is not None and truth is None:
        raise ValueError('lpips (--lpips) needs a truth to compare with: give truth (--truth)')
    named = pictures_by_name(_listed(translations, note))
    files = list(named.values())
    partners = {
        key: _partners(list(named), folder, note)
        for key, folder in (('img_translation', truth), ('img_source', source))
        if folder is not None
    }
    if real is None and not partners:
        raise ValueError(
            'Nothing to compare the translations with: give real (FID, KID), truth (PSNR, SSIM) '
            'or source (structure distance).'
        )
    smallest = _check_sizes(files, partners, real is not None and not real_size, max_image_pixels)
    metrics: dict[str, Any] = {}
    if real is not None:
        folder = dict(real_folder=str(real), real_size=real_size, max_image_pixels=max_image_pixels)
        smallest = min([smallest, *(real_size or ())])
        metrics |= _set_metrics(scores, set_features, smallest, folder)
    if truth is not None:
        lpips_net = None if lpips is None else _weights(lpips)
        metrics['lpips'] = PairedScores('translation', lpips=lpips_net)
    if source is not None:
        loss = {**ALL_POSITIONS, **feature_settings(feature_net)}
        metrics['feature_net'] = StructureDistance(**_DOMAINS, loss=loss)
    _prepare(metrics, files)
    for number, file in enumerate(progress(files)):
        # The translation's own file tells one source from another.
        sample = dict(fake_translation=_tensor(file, max_image_pixels), img_source_path=str(file))
        for key, paths in partners.items():
            sample[key] = _tensor(paths[number], max_image_pixels)
            if key == 'img_translation':
                sample[f'{key}_path'] = str(paths[number])
        for metric in metrics.values():
            metric.process(None, [sample])
    results = [metric.evaluate(len(files)) for metric in metrics.values()]
    return {name: score for result in results for name, score in result.items()}


def _set_metrics(
    scores: Sequence[str], set_features: str, smallest: int, folder: dict[str, Any]
) -> dict[str, Any]:
    """Metrics of the real pictures of a folder; ``smallest`` is the least side of a picture."""
    if not scores or not set(scores) <= set(SET_SCORES):
        raise ValueError(f'scores (--scores) must be among {", ".join(SET_SCORES)}; got {scores}')
    metrics: dict[str, Any] = {}
    if in_features := [score for score in scores if score != 'appearance']:
        network = set_feature_settings(set_features)
        metrics['set_features'] = DistributionScores(
            **_DOMAINS, **folder, scores=in_features, feature_net=network
        )
    if 'appearance' in scores:
        # All pictures get the levels that the smallest has.
        levels = count_levels(smallest, 5)
        metrics['appearance'] = AppearanceScores(**_DOMAINS, **folder, max_levels=levels)
    return metrics


def _listed(folder: str | Path, note: Callable[[str], None]) -> FolderListing:
    listing = list_images(folder)
    if listing.note():
        note(f'{shown(folder)}: {listing.note()}')
    return listing


def _partners(names: list[str], folder: str | Path, note: Callable[[str], None]) -> list[Path]:
    """For each translation the picture of its name in another folder."""
    listing = _listed(folder, note)
    # A translation keeps the suffix of its source where another file shared its stem at the time.
    by_name = dict(zip(listing.names, listing.files, strict=True)) | pictures_by_name(listing)
    missing = [name for name in names if name not in by_name]
    if missing:
        raise ValueError(
            f'{shown(folder)} has no picture for {len(missing)} of {len(names)} translations, the '
            f'first is {shown(missing[0])}: pictures belong together by their names without '
            'suffixes, folders included.'
        )
    return [by_name[name] for name in names]


def _check_sizes(
    files: list[Path], partners: dict[str, list[Path]], is_one: bool, max_image_pixels: int | None
) -> int:
    """Look at all pictures, and refuse what the work would stumble over; the least side."""
    paths = [*files, *(path for paths in partners.values() for path in paths)]
    broken = find_broken([str(path) for path in paths], max_image_pixels)
    if broken:
        lines = [f'  {shown(path)}: {reason}' for path, reason in broken.items()]
        count = f'{len(lines)} pictures cannot be used, replace or remove them:'
        raise ValueError('\n'.join([count, *lines]))
    sizes = {path: check_picture(path, max_pixels=max_image_pixels) for path in paths}
    for key, paths in partners.items():
        role = 'truth' if key == 'img_translation' else 'source'
        for file, path in zip(files, paths, strict=True):
            # A camera may have noted that its picture stands on its side.
            if sorted(sizes[file]) != sorted(sizes[path]):
                width, height = sizes[file]
                raise ValueError(
                    f'{shown(file)} has {width} x {height} pixels, its {role} '
                    f'{" x ".join(map(str, sizes[path]))} ({shown(path)}): they must have one size'
                )
            if role == 'truth' and min(sizes[path]) < SSIM_WINDOW:
                raise ValueError(
                    f'{shown(path)} has {" x ".join(map(str, sizes[path]))} pixels: SSIM compares '
                    f'windows of {SSIM_WINDOW} x {SSIM_WINDOW}'
                )
    of_files = sorted({sizes[file] for file in files})
    if is_one and len(of_files) > 1:
        raise ValueError(
            f'translations have several sizes (width x height): '
            f'{", ".join(f"{w} x {h}" for w, h in of_files[:5])}; say by real_size (--real-size '
            'HEIGHT WIDTH) what size the real pictures are brought to'
        )
    return min(min(size) for size in of_files)


def _prepare(metrics: dict[str, Any], files: list[Path]) -> None:
    """Read the weights and count the pictures; all that is missing is said in one message."""
    missing = []
    for setting, metric in metrics.items():
        metric.check_pictures(dict(source=list(map(str, files))))
        try:
            metric.init_weights()
        except WeightsMissing as error:
            problem, option = error.problem.rstrip('.;'), setting.replace('_', '-')
            missing.append(f'{problem}; give {_ADVICE[setting]}, by {setting} (--{option})')
    if missing:
        raise FileNotFoundError('; '.join(missing))


def _weights(pretrained: str) -> dict:
    return dict(pretrained=None, seed=0) if pretrained == 'random' else dict(pretrained=pretrained)


def _tensor(path: Path, max_image_pixels: int | None) -> torch.Tensor:
    """(3, H, W), BGR, values in [0, 255]."""
    picture = read_picture(path, max_pixels=max_image_pixels)
    return torch.from_numpy(picture.transpose(2, 0, 1).copy())
