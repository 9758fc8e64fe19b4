"""Scores of translations that lie in a folder, whoever made them."""

from collections.abc import Callable, Iterable
from pathlib import Path

import torch

from sesim_mmagic.apis.inference.inputs import list_pictures
from sesim_mmagic.utils.images import read_picture

_RANDOM = 'random'


def evaluate_folder(
    translations: str | Path,
    real: str | Path | None = None,
    truth: str | Path | None = None,
    source: str | Path | None = None,
    *,
    inception: str = 'download',
    resize: str = 'clean',
    vgg16: str = 'torchvision',
    lpips: str | None = None,
    progress: Callable[[list], Iterable] = iter,
) -> dict[str, float]:
    """Score a folder of translations by the metrics that a training is evaluated with.

    Pictures of ``truth`` and ``source`` are found by the names of the translations, whatever their
    suffixes.

    Args:
        translations (str | Path): Folder of translations.
        real (str | Path, optional): Folder of real pictures of the target domain: FID, KID,
            density and coverage. They are brought to the size of the translations.
        truth (str | Path, optional): Folder of what the translations should be: PSNR, SSIM,
            boundary F1 and, with ``lpips``, LPIPS.
        source (str | Path, optional): Folder of what was translated: structure distance.
        inception (str): Inception weights: 'download', a path, or 'random' (seed 0), whose scores
            say so in their names. Defaults to 'download'.
        resize (str): How pictures get to Inception's size, 'clean' or 'legacy'.
            Defaults to 'clean'.
        vgg16 (str): VGG16 weights for the structure distance: 'torchvision', a path or 'random'.
            Defaults to 'torchvision'.
        lpips (str, optional): AlexNet weights for LPIPS: 'torchvision', a path or 'random'.
            Defaults to None: no LPIPS.
        progress (Callable): Wraps the list of files that is walked through. Defaults to ``iter``.

    Returns:
        dict[str, float]: Scores by name.

    Raises:
        FileNotFoundError: If a folder holds no picture, or weights are missing.
        ValueError: If there is nothing to compare with, names or sizes do not fit, or there are
            fewer pictures than a score needs.
    """
    files = list_pictures(_folder(translations))
    partners = {
        key: _partners(files, folder)
        for key, folder in (('img_translation', truth), ('img_source', source))
        if folder is not None
    }
    metrics = _metrics(real, truth, source, inception, resize, vgg16, lpips)
    for metric in metrics:
        metric.init_weights()
    for number, file in enumerate(progress(files)):
        # The translation's own file tells one source from another.
        sample = dict(fake_translation=_tensor(file), img_source_path=str(file))
        for key, paths in partners.items():
            sample[key] = _tensor(paths[number])
            if key == 'img_translation':
                sample[f'{key}_path'] = str(paths[number])
        for metric in metrics:
            metric.process(None, [sample])
    return {k: v for metric in metrics for k, v in metric.evaluate(len(files)).items()}


def _folder(path: str | Path) -> Path:
    if not Path(path).is_dir():
        raise FileNotFoundError(f"'{path}' is no folder: give a folder of pictures.")
    return Path(path)


def _partners(files: list[Path], folder: str | Path) -> list[Path]:
    """For each file the one of the same name in another folder."""
    found = {path.stem: path for path in list_pictures(_folder(folder))}
    missing = [file.stem for file in files if file.stem not in found]
    if missing:
        raise ValueError(
            f"'{folder}' has no picture for {len(missing)} of {len(files)} translations, the first "
            f"is '{missing[0]}': pictures belong together by their names without suffixes."
        )
    return [found[file.stem] for file in files]


def _metrics(real, truth, source, inception, resize, vgg16, lpips) -> list:
    from sesim_mmagic.evaluation import DistributionScores, PairedScores, StructureDistance
    from sesim_mmagic.evaluation.structure_distance import ALL_POSITIONS

    domains = dict(target_domain='translation', source_domain='source')
    metrics = []
    if real is not None:
        net = dict(
            type='sesim_mmagic.InceptionFeatures', resize=resize, **_weights('weights', inception)
        )
        metrics.append(DistributionScores(**domains, real_folder=str(real), feature_net=net))
    if truth is not None:
        settings = None if lpips is None else _weights('backbone', lpips)
        metrics.append(PairedScores('translation', lpips=settings))
    if source is not None:
        net = dict(type='sesim_mmagic.VGG16Features', **_weights('pretrained', vgg16))
        metrics.append(StructureDistance(**domains, loss={**ALL_POSITIONS, 'feature_net': net}))
    if not metrics:
        raise ValueError(
            'Nothing to compare the translations with: give real (FID, KID), truth (PSNR, SSIM) '
            'or source (structure distance).'
        )
    return metrics


def _weights(setting: str, value: str) -> dict:
    return {setting: None, 'seed': 0} if value == _RANDOM else {setting: value}


def _tensor(path: Path) -> torch.Tensor:
    """(3, H, W), BGR, values in [0, 255]."""
    return torch.from_numpy(read_picture(str(path)).transpose(2, 0, 1).copy())
