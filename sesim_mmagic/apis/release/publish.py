"""Publish a trained model: one file with what inference needs, checked in a fresh process."""

import hashlib
import os
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from mmengine.config import Config

from sesim_mmagic.apis.embedded_config import embedded_config
from sesim_mmagic.apis.inference.loading import init_translator
from sesim_mmagic.apis.release.content import released_meta, serialize
from sesim_mmagic.apis.release.fresh_process import check_in_fresh_process, translations
from sesim_mmagic.apis.release.metafile import find_config, index_files
from sesim_mmagic.apis.release.model_card import read_resources, read_scores, write_card
from sesim_mmagic.engine import read_results
from sesim_mmagic.engine.pictures import write_picture
from sesim_mmagic.translators import Translator
from sesim_mmagic.utils.checkpoints import last_checkpoint, read_checkpoint
from sesim_mmagic.utils.files import write_atomically
from sesim_mmagic.utils.images import read_picture


@dataclass(frozen=True)
class Release:
    """A released model.

    Attributes:
        path (Path): The checkpoint.
        card (Path): The model card.
        index (tuple[Path, ...]): Metafile and index that were written.
        facts (dict): What card and metafile say of the model; ``sha256`` is the file's checksum.
    """

    path: Path
    card: Path
    index: tuple[Path, ...]
    facts: dict[str, Any]


def publish(
    checkpoint: str | Path,
    out: str | Path,
    *,
    licence: str,
    config: str | Path | None = None,
    ema: bool = True,
    samples: Sequence[str | Path] = (),
    base_url: str | None = None,
    root: str | Path | None = None,
    date: str | None = None,
    data: str | None = None,
    resources: str | None = None,
    limits: str = '',
    overwrite: bool = False,
) -> Release:
    """Write a released checkpoint ``<config>_<date>-<sha8>.pth`` and its model card.

    The file holds the generators, the config and versions of packages. The same checkpoint and
    arguments give the same bytes with the same packages. Before anything gets its final name, a
    fresh process has loaded the file with ``weights_only=True`` and translated the samples (or a
    picture of noise) exactly as the checkpoint of the training does, on the CPU. One process at a
    time may publish a config into a folder.

    Args:
        checkpoint (str | Path): Checkpoint, or work directory (see :func:`choose_checkpoint`).
        out (str | Path): Folder for the release.
        licence (str): Licence of the weights; the training data may decide it.
        config (str | Path, optional): Config. Defaults to None: the one in the checkpoint.
        ema (bool): Whether a moving average, where there is one, takes the place of the trained
            generators. Defaults to True.
        samples (Sequence[str | Path]): Pictures of the source domain for the model card.
        base_url (str, optional): Address that the files will have. Defaults to None: ``out``.
        root (str | Path, optional): Repository whose metafile and ``model-index.yml`` get the
            model. Defaults to None: none.
        date (str, optional): Eight digits. Defaults to None: when the checkpoint was written.
        data (str, optional): What the model was trained on. Defaults to None: the name of the
            data's folder.
        resources (str, optional): What it was trained on and how long. Defaults to None: what the
            training noted.
        limits (str): What the model cannot do, for the model card. Defaults to ''.
        overwrite (bool): Whether a release of this name in ``out`` is replaced. Defaults to False.

    Raises:
        FileNotFoundError: A file does not exist.
        FileExistsError: ``out`` holds this release already.
        OSError: ``out`` cannot be written, or the disk is full. Nothing has its final name then.
        ValueError: The checkpoint is damaged, foreign or could run code, lacks what is needed, or
            gives other pictures in the fresh process.
    """
    checkpoint, _ = choose_checkpoint(checkpoint)
    for path in (*samples, *([config] if config else [])):
        if not Path(path).is_file():
            raise FileNotFoundError(f"'{path}' does not exist.")
    if base_url is not None and not re.match(r'\w+://', base_url):
        raise ValueError(
            f"The base address is one such as 'https://host/folder', got '{base_url}'."
        )
    trained = read_checkpoint(checkpoint)
    cfg = Config.fromfile(config) if config else embedded_config(trained, checkpoint)
    meta = released_meta(trained.get('meta', {}), Path(config).stem if config else None, date)
    model = init_translator(cfg if config else None, checkpoint, 'cpu')
    if not ema:
        model.generator_ema = None
    content = serialize(model, cfg, meta)
    sha256 = hashlib.sha256(content).hexdigest()
    name = f'{meta["experiment_name"]}_{meta["time"][:8]}-{sha256[:8]}'
    out = Path(out).resolve()
    if not overwrite and (out / f'{name}.pth').exists():
        raise FileExistsError(f"'{out / name}.pth' exists: give --overwrite to replace it.")
    facts = _facts(model, meta, cfg, checkpoint) | dict(
        file=f'{name}.pth',
        weights=f'{(base_url or out.as_uri()).rstrip("/")}/{name}.pth',
        sha256=sha256,
        licence=licence,
        limits=limits,
    )
    facts['data'], facts['resources'] = data or facts['data'], resources or facts['resources']
    index = index_files(root, find_config(root, facts['name'], config), facts) if root else {}
    _write(out, name, content, facts, model, samples)
    for path, text in index.items():  # the index names no file that is not there
        write_atomically(path, text)
    return Release(out / f'{name}.pth', out / f'{name}.md', tuple(index), facts)


def choose_checkpoint(path: str | Path) -> tuple[Path, str]:
    """Choose the checkpoint of a training: the best by the first score of ``save_best``, or last.

    Args:
        path (str | Path): Work directory; or a checkpoint, which is taken as it is.

    Returns:
        tuple[Path, str]: The checkpoint, and why it was chosen, in words.

    Raises:
        FileNotFoundError: There is none.
        ValueError: ``results.json`` cannot be read.
    """
    path = Path(path)
    if not path.is_dir():
        return path, 'given'
    for best in (read_results(path) or {}).get('best', []):
        if best['checkpoint'] and (path / best['checkpoint']).is_file():
            return path / best['checkpoint'], f'best {best["key"]} ({best["value"]:.4g})'
    last = last_checkpoint(path)
    if last is None:
        raise FileNotFoundError(f"Work directory '{path}' holds no complete checkpoint.")
    return Path(last), 'last'


def _data_name(cfg: Config) -> str | None:
    dataset = cfg.get('train_dataloader')
    while isinstance(dataset, dict) and 'data_root' not in dataset:  # such as RepeatDataset
        dataset = dataset.get('dataset')
    root = dataset['data_root'] if isinstance(dataset, dict) else None
    return Path(root).name if isinstance(root, str) and root else None


def _facts(model: Translator, meta: dict, cfg: Config, checkpoint: Path) -> dict[str, Any]:
    target, source = next(iter(model.domains.items()))
    return dict(
        name=meta['experiment_name'],
        model=type(model).__name__,
        source=source,
        target=target,
        iterations=meta['iter'],
        parameters=sum(p.numel() for p in model.generators.parameters()),
        averaged=model.generator_ema is not None,
        data=_data_name(cfg),
        resources=read_resources(checkpoint.parent),
        scores=read_scores(checkpoint, meta['iter']),
        version=meta['sesim_mmagic_version'],
        versions=', '.join(f'{k[:-8]} {v}' for k, v in meta.items() if k.endswith('_version')),
    )


def _write(
    out: Path,
    name: str,
    content: bytes,
    facts: dict[str, Any],
    model: Translator,
    samples: Sequence[str | Path],
) -> None:
    """Write checkpoint, samples and card into a folder inside ``out``, and move them if all fit."""
    out.mkdir(parents=True, exist_ok=True)
    try:
        with TemporaryDirectory(prefix='.publishing-', dir=out) as folder:
            facts['rows'] = _translate_and_check(model, content, samples, Path(folder), name)
            write_atomically(Path(folder, f'{name}.md'), write_card(facts))
            for path in (*sum(facts['rows'], []), f'{name}.md', f'{name}.pth'):
                (out / path).parent.mkdir(exist_ok=True)
                os.replace(Path(folder, path), out / path)
    except BaseException:
        with suppress(OSError):  # it holds something
            out.rmdir()
        raise


def _translate_and_check(
    model: Translator, content: bytes, samples: Sequence[str | Path], folder: Path, name: str
) -> list[list[str]]:
    """Write file and samples, compare translations; paths of each source and its translations."""
    noise = np.random.default_rng(0).integers(0, 256, (64, 96, 3), dtype=np.uint8)
    sources = [read_picture(str(path)) for path in samples]
    for number, picture in enumerate(sources or [noise]):
        write_picture(folder / f'inputs/{number}.png', picture)
    write_atomically(folder / f'{name}.pth', content)
    translated = dict(translations(model, sorted((folder / 'inputs').iterdir())))
    check_in_fresh_process(folder / f'{name}.pth', folder / 'inputs', translated, folder / 'out')
    rows: list[list[str]] = []
    for number, picture in enumerate(sources):
        beginning = f'{number}_{model.check_target(None)}_'
        shown = {key: value for key, value in translated.items() if key.startswith(beginning)}
        rows.append([])
        for key, value in {f'{number}_source': picture, **shown}.items():
            rows[-1].append(f'{name}_samples/{key}.png')
            write_picture(folder / rows[-1][-1], value)
    return rows
