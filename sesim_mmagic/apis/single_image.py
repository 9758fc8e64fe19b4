"""One picture in the style of another: training on the two, translation, scores."""

import hashlib
import json
from pathlib import Path

from mmengine.config import Config
from mmengine.registry import init_default_scope

from sesim_mmagic.apis import launch
from sesim_mmagic.apis.config_files import set_everywhere
from sesim_mmagic.engine.work_dir import earlier_training, overwrite_training
from sesim_mmagic.registry import DATASETS
from sesim_mmagic.utils.checkpoints import POINTER
from sesim_mmagic.utils.files import write_atomically
from sesim_mmagic.utils.names import output_names
from sesim_mmagic.utils.shapes import misfit

PICTURES = 'pictures.json'
TRANSLATION = 'translation.png'
_LOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')


def prepare_single(
    cfg: Config,
    source: str | Path,
    style_image: str | Path,
    out: str | Path,
    iterations: int | None = None,
    resume: bool = False,
    overwrite: bool = False,
) -> None:
    """Turn a config of single-image translation into one for two given pictures.

    Where ``out`` holds a training on these pictures that was interrupted, it goes on; where it
    holds their translation, that has to be asked for.

    Args:
        cfg (Config): Config of ``configs/single_image``; changed in place.
        source (str | Path): Picture to translate.
        style_image (str | Path): Picture whose style it is to have.
        out (str | Path): Work directory.
        iterations (int | None): Length of the training instead of the config's; validations and
            the decay of the learning rates move along.
        resume (bool): Whether a training that ended goes on, and its translation is replaced.
        overwrite (bool): Whether what ``out`` holds of an earlier training is removed.

    Raises:
        FileNotFoundError: A picture does not exist.
        ValueError: A picture cannot be used (see ``SingleImagePairDataset``), ``iterations`` is
            not positive, the config is none of two pictures, or ``out`` holds other pictures'
            translation, or one that nobody said may be replaced.
    """
    pictures = dict(A=str(Path(source).resolve()), B=str(Path(style_image).resolve()))
    for part in _LOADERS:
        dataset = cfg.get(part, {}).get('dataset', {})
        if not {'A', 'B'} <= set(dataset):
            raise ValueError(
                f"Config '{cfg.filename}' has no {part}.dataset with two pictures A and B: take "
                'one of configs/single_image.'
            )
        dataset.update(pictures)
    if iterations is not None:
        _set_iterations(cfg, iterations)
    cfg.work_dir = str(out)
    init_default_scope(cfg.get('default_scope', 'mmagic'))
    DATASETS.build(cfg.train_dataloader.dataset)  # reads and checks the pictures
    if overwrite:
        overwrite_training(out, PICTURES, TRANSLATION)
    _check_folder(Path(out), pictures, resume)
    cfg.resume = resume or Path(out, POINTER).is_file()
    launch.prepare_start(cfg)


def translate_single(cfg: Config) -> tuple[Path, dict[str, float]]:
    """Train on two pictures and translate the one, whole, into the style of the other.

    In the work directory appear ``translation.png``, ``validations/<iteration>`` (how it came
    about), checkpoints, ``results.json`` and ``report.html``.

    Args:
        cfg (Config): Result of :func:`prepare_single`.

    Returns:
        tuple[Path, dict[str, float]]: The translation, and its scores.
    """
    runner = launch.train(cfg)
    scores = runner.test()
    folder = Path(cfg.work_dir)
    (name,) = output_names([Path(cfg.test_dataloader.dataset.A).name])
    saved = folder / 'test/translations' / cfg.model.target_domain / f'{name}.png'
    write_atomically(folder / TRANSLATION, saved.read_bytes())
    return folder / TRANSLATION, scores


def _set_iterations(cfg: Config, iterations: int) -> None:
    if iterations < 1:
        raise ValueError(f'The number of iterations must be positive, got {iterations}.')
    share = iterations / cfg.train_cfg.max_iters
    set_everywhere(cfg, 'max_iters', iterations)
    cfg.train_cfg.val_interval = max(1, round(share * cfg.train_cfg.val_interval))
    for hook in map(cfg.default_hooks.get, ('checkpoint', 'fixed_inputs')):
        if hook is not None:
            hook.interval = max(1, round(share * hook.interval))


def _read_note(note: Path) -> dict:
    try:
        noted = json.loads(note.read_text(encoding='utf-8'))
        problem = misfit(
            noted, dict.fromkeys(('source', 'style_image'), dict(path=str, sha256=str))
        )
    except (ValueError, RecursionError):
        problem = 'it is not JSON'
    if problem:
        raise ValueError(
            f"'{note}' does not say which two pictures the folder belongs to ({problem}): choose "
            'another folder.'
        )
    return noted


def _check_folder(out: Path, pictures: dict[str, str], resume: bool) -> None:
    """Note the pictures in a new folder; refuse one that belongs to others, or is complete."""
    note = out / PICTURES
    given = {
        role: dict(path=path, sha256=hashlib.sha256(Path(path).read_bytes()).hexdigest())
        for role, path in zip(('source', 'style_image'), pictures.values(), strict=True)
    }
    if note.is_file():
        noted = _read_note(note)
        if any(noted[role]['sha256'] != given[role]['sha256'] for role in given):
            raise ValueError(
                f"'{out}' holds the translation of '{noted['source']['path']}' into the style of "
                f"'{noted['style_image']['path']}', or these files changed since: choose another "
                'folder, or replace it by --overwrite.'
            )
        if (out / TRANSLATION).is_file() and not resume:
            raise ValueError(
                f"'{out}' holds the translation of these pictures: train it further by --resume "
                '(with more --iterations), begin anew by --overwrite, or choose another folder.'
            )
        return
    if earlier_training(out):
        raise ValueError(
            f"'{out}' holds another training: choose another folder, or replace it by --overwrite."
        )
    write_atomically(note, json.dumps(given, indent=2) + '\n')
