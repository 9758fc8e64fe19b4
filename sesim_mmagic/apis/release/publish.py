"""Publish a trained model: one file with what inference needs, checked in a fresh process."""

import hashlib
import os
import re
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from mmengine.config import Config

from sesim_mmagic.apis.embedded_config import embedded_config
from sesim_mmagic.apis.inference.loading import init_translator
from sesim_mmagic.apis.model_zoo import SHIPPED
from sesim_mmagic.apis.release.content import released_meta, round_weights, serialize
from sesim_mmagic.apis.release.fresh_process import check_in_fresh_process, translations
from sesim_mmagic.apis.release.metafile import index_files
from sesim_mmagic.apis.release.model_card import read_resources, read_scores, write_card
from sesim_mmagic.engine import read_results
from sesim_mmagic.engine.pictures import write_picture
from sesim_mmagic.translators import Translator
from sesim_mmagic.utils.checkpoints import last_checkpoint, read_checkpoint
from sesim_mmagic.utils.files import write_atomically
from sesim_mmagic.utils.images import read_picture


def publish(
    checkpoint: str | Path,
    out: str | Path,
    *,
    licence: str,
    name: str | None = None,
    config: str | Path | None = None,
    ema: bool = True,
    half: bool = False,
    scores: str | Path | None = None,
    samples: Sequence[str | Path] = (),
    base_url: str | None = None,
    root: str | Path | None = None,
    date: str | None = None,
    data: str | None = None,
    resources: str | None = None,
    limits: str = '',
    overwrite: bool = False,
) -> list[Path]:
    """Write a released checkpoint ``<name>_<date>-<sha8>.pth`` and its model card.

    The file holds the generators, the config and versions of packages. The same checkpoint and
    arguments give the same bytes with the same packages. Before anything gets its final name, a
    fresh process has loaded the file with ``weights_only=True`` and translated the samples (or a
    picture of noise) exactly as the checkpoint of the training does, on the CPU. One process at a
    time may publish a model into a folder.

    Args:
        checkpoint (str | Path): Checkpoint, or work directory (see :func:`choose_checkpoint`).
        out (str | Path): Folder for the release.
        licence (str): Licence of the weights; the training data may decide it.
        name (str, optional): Name of the model. Defaults to None: that of its config.
        config (str | Path, optional): Config. Defaults to None: the one in the checkpoint.
        ema (bool): Whether a moving average, where there is one, takes the place of the trained
            generators. Defaults to True.
        half (bool): Whether weights are stored in half precision; models compute in float32 all the
            same, from rounded weights. Defaults to False.
        scores (str | Path, optional): Work directory of a test of the released file. Defaults to
            None: the scores that the training noted of its checkpoint; with ``half`` none, for
            those are of other weights.
        samples (Sequence[str | Path]): Pictures of the source domain for the model card.
        base_url (str, optional): Address that the files will have. Defaults to None: ``out``, as
            a folder of ``root`` if it is ``models``, whose files travel with the package.
        root (str | Path, optional): Repository whose metafile and ``model-index.yml`` get the
            model. Defaults to None: none.
        date (str, optional): Eight digits. Defaults to None: when the checkpoint was written.
        data (str, optional): What the model was trained on. Defaults to None: the name of the
            data's folder.
        resources (str, optional): What it was trained on and how long. Defaults to None: what the
            training noted.
        limits (str): What the model cannot do, for the model card. Defaults to ''.
        overwrite (bool): Whether a release of this name in ``out`` is replaced. Defaults to False.

    Returns:
        list[Path]: What was written: checkpoint, model card and, with ``root``, metafile and index.

    Raises:
        FileNotFoundError: A file does not exist.
        FileExistsError: ``out`` holds this release already.
        OSError: ``out`` cannot be written, or the disk is full. Nothing has its final name then.
        ValueError: The checkpoint is damaged, foreign or could run code, lacks what is needed, has
            weights that half precision cannot hold, or gives other pictures in the fresh process;
            or ``scores`` has no test of the released file.
    """
    checkpoint, _ = choose_checkpoint(checkpoint)
    if config and not Path(config).is_file():
        raise FileNotFoundError(f"Config '{config}' does not exist.")
    pictures = [read_picture(path) for path in samples]
    if name is not None and not re.fullmatch(r'\w[\w.+-]*(?<!\.pth)', name):
        raise ValueError(
            "A model's name consists of letters, digits and _.+-, and does not end in .pth, got "
            f"'{name}'."
        )
    if base_url is not None and not re.match(r'\w+://', base_url):
        raise ValueError(f"The base address is one such as 'https://host/folder', not '{base_url}'")
    trained = read_checkpoint(checkpoint)
    cfg = Config.fromfile(config) if config else embedded_config(trained, checkpoint)
    meta = released_meta(trained.get('meta', {}), Path(config).stem if config else None, date)
    model = init_translator(cfg if config else None, checkpoint, 'cpu')
    if not ema:
        model.generator_ema = None
    if half:
        round_weights(model)
    content = serialize(model, cfg, meta, half)
    sha256 = hashlib.sha256(content).hexdigest()
    name, out = name or meta['experiment_name'], Path(out).resolve()
    stem = f'{name}_{meta["time"][:8]}-{sha256[:8]}'
    if not overwrite and (out / f'{stem}.pth').exists():
        raise FileExistsError(f"'{out / stem}.pth' exists: give --overwrite to replace it.")
    target, source = next(iter(model.domains.items()))
    travels = root is not None and out == Path(root, SHIPPED).resolve()
    address = base_url or (SHIPPED if travels else out.as_uri())
    facts = dict(
        name=name,
        config=meta['experiment_name'],
        as_trained=config is None,
        model=type(model).__name__,
        source=source,
        target=target,
        iterations=meta['iter'],
        parameters=sum(p.numel() for p in model.generators.parameters()),
        averaged=model.generator_ema is not None,
        half=half,
        data=data or _data_name(cfg),
        resources=resources or read_resources(checkpoint.parent),
        scores=_scores(checkpoint, meta['iter'], out / f'{stem}.pth', half, scores),
        versions={k[:-8]: v for k, v in meta.items() if k.endswith('_version')},
        file=f'{stem}.pth',
        weights=f'{address.rstrip("/")}/{stem}.pth',
        travels=travels,
        sha256=sha256,
        licence=licence,
        limits=limits,
    )
    index = index_files(root, config, facts) if root else {}
    _write(out, stem, content, facts, model, pictures)
    for path, text in index.items():  # the index names no file that is not there
        write_atomically(path, text)
    return [out / f'{stem}.pth', out / f'{stem}.md', *index]


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


def _scores(
    checkpoint: Path, iteration: int | None, released: Path, half: bool, tested: str | Path | None
) -> list[dict]:
    """Scores of a released file: those of its checkpoint, or of a test of the file itself."""
    if tested is None:
        return [] if half else read_scores(checkpoint.parent, checkpoint, iteration)
    scores = read_scores(Path(tested), released)
    if not scores:
        raise ValueError(
            f"'{tested}' holds no test of '{released}': run tools/test.py with that file and "
            f'--work-dir {tested}, or leave out --scores.'
        )
    return scores


def _data_name(cfg: Config) -> str | None:
    match cfg.get('train_dataloader'):
        case (
            {'dataset': {'data_root': str(root)}}
            | {'dataset': {'dataset': {'data_root': str(root)}}}  # of RepeatDataset
        ):
            return Path(root).name or None
    return None


def _write(
    out: Path,
    name: str,
    content: bytes,
    facts: dict[str, Any],
    model: Translator,
    pictures: Sequence[np.ndarray],
) -> None:
    """Write checkpoint, samples and card into a folder inside ``out``, and move them if all fit."""
    noise = np.random.default_rng(0).integers(0, 256, (64, 96, 3), dtype=np.uint8)
    out.mkdir(parents=True, exist_ok=True)
    try:
        with TemporaryDirectory(prefix='.publishing-', dir=out) as folder:
            checkpoint, shown = Path(folder, f'{name}.pth'), Path(folder, f'{name}_samples')
            write_atomically(checkpoint, content)
            sources = [shown / f'{number}_source.png' for number in range(len(pictures) or 1)]
            for source, picture in zip(sources, pictures or [noise], strict=True):
                write_picture(source, picture)
            translated = translations(model, sources)
            check_in_fresh_process(checkpoint, sources, translated)
            rows = []
            for number, source in enumerate(sources[: len(pictures)]):
                beginning = f'{number}_{facts["target"]}_'
                keys = [key for key in translated if key.startswith(beginning)]
                for key in keys:
                    write_picture(shown / f'{key}.png', translated[key])
                rows.append([f'{name}_samples/{key}.png' for key in (source.stem, *keys)])
            write_atomically(Path(folder, f'{name}.md'), write_card(dict(facts, rows=rows)))
            for path in (*sum(rows, []), f'{name}.md', f'{name}.pth'):
                (out / path).parent.mkdir(exist_ok=True)
                os.replace(Path(folder, path), out / path)
    except BaseException:
        with suppress(OSError):  # it holds something
            out.rmdir()
        raise
