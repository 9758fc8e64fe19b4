"""Publish a trained model: one file with what inference needs, checked in a fresh process."""

import hashlib
import os
import re
import shutil
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mmengine.config import Config

from sesim_mmagic.apis.embedded_config import embedded_config
from sesim_mmagic.apis.inference.loading import init_translator
from sesim_mmagic.apis.release.content import is_averaged, released_meta, serialise
from sesim_mmagic.apis.release.fresh_process import (
    check_in_fresh_process,
    noise_picture,
    translations,
)
from sesim_mmagic.apis.release.metafile import find_config, index_files
from sesim_mmagic.apis.release.model_card import (
    ModelFacts,
    metafile_entry,
    read_resources,
    read_scores,
    write_card,
)
from sesim_mmagic.engine import read_results
from sesim_mmagic.engine.pictures import write_picture
from sesim_mmagic.utils.checkpoints import last_checkpoint, read_checkpoint
from sesim_mmagic.utils.files import write_atomically
from sesim_mmagic.utils.images import read_picture


@dataclass(frozen=True)
class Release:
    """A released model.

    Attributes:
        path (Path): The checkpoint.
        card (Path): The model card.
        sha256 (str): Sum of the checkpoint.
        facts (ModelFacts): What is known of the model.
        index (tuple[Path, ...]): Metafile and index that were written.
    """

    path: Path
    card: Path
    sha256: str
    facts: ModelFacts
    index: tuple


def publish(
    checkpoint,
    out,
    *,
    licence,
    config=None,
    ema=True,
    samples=(),
    base_url=None,
    root=None,
    date=None,
    data=None,
    resources=None,
    limits='',
    overwrite=False,
):
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
        config (str | Path | None): Config; None for the one that the checkpoint holds.
        ema (bool): Whether a moving average, where there is one, takes the place of the trained
            generators. Defaults to True.
        samples (Iterable[str | Path]): Pictures of the source domain for the model card.
        base_url (str | None): Address that the files will have; None for where they lie now.
        root (str | Path | None): Repository whose metafile and ``model-index.yml`` get the model;
            None for none.
        date (str | None): Eight digits; None for when the checkpoint was written.
        data (str | None): What the model was trained on; None for the name of the data's folder.
        resources (str | None): What it was trained on and how long; None for what the training
            noted.
        limits (str): What the model cannot do, for the model card. Defaults to ''.
        overwrite (bool): Whether a release of this name in ``out`` is replaced. Defaults to False.

    Returns:
        Release: What was written.

    Raises:
        FileNotFoundError: A file does not exist.
        FileExistsError: ``out`` holds this release already.
        OSError: ``out`` cannot be written, or the disk is full. Nothing has its final name then.
        ValueError: The checkpoint is damaged, foreign or could run code, lacks what is needed, or
            gives other pictures in the fresh process.
    """
    checkpoint, _ = choose_checkpoint(checkpoint)
    pictures = _read_samples(samples)
    trained = read_checkpoint(checkpoint)
    given = None if config is None else _read_config(config)
    cfg = given or embedded_config(trained, checkpoint)
    meta = released_meta(trained, checkpoint, config, date)
    model = init_translator(given, checkpoint, 'cpu')
    if not ema:
        model.generator_ema = None
    content = serialise(model, cfg, meta)
    sha256 = hashlib.sha256(content).hexdigest()
    name = f'{meta["experiment_name"]}_{meta["time"][:8]}-{sha256[:8]}'
    facts = _facts(
        model,
        meta,
        data=data or _data_name(cfg),
        resources=resources or read_resources(checkpoint.parent),
        scores=read_scores(checkpoint, meta['iter']),
        licence=licence,
        limits=limits,
    )
    out = Path(out).resolve()
    if not overwrite:
        _check_new(out, name)
    weights = _address(base_url, out, f'{name}.pth')
    index = {}
    if root is not None:
        path = find_config(root, facts.name, config)
        index = index_files(root, path, metafile_entry(facts, path, weights, sha256))
    with _workshop(out, facts.name) as shop:
        write_atomically(shop / f'{name}.pth', content)
        rows = _translate_and_check(model, shop, name, pictures)
        card = write_card(facts, f'{name}.pth', sha256, weights, rows)
        write_atomically(shop / f'{name}.md', card)
        _move(shop, out, [*(path for row in rows for path in row), f'{name}.md', f'{name}.pth'])
    for path, text in index.items():  # the index names no file that is not there
        write_atomically(path, text)
    return Release(out / f'{name}.pth', out / f'{name}.md', sha256, facts, tuple(index))


def choose_checkpoint(path):
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


def _read_config(config):
    if not Path(config).is_file():
        raise FileNotFoundError(f"Config '{config}' does not exist.")
    return Config.fromfile(config)


def _read_samples(samples):
    for path in samples:
        if not Path(path).is_file():
            raise FileNotFoundError(f"Sample picture '{path}' does not exist.")
    return [read_picture(str(path)) for path in samples]


def _facts(model, meta, **told):
    target, source = next(iter(model.domains.items()))
    return ModelFacts(
        name=meta['experiment_name'],
        model=type(model).__name__,
        domains=(source, target),
        iterations=meta['iter'],
        parameters=sum(p.numel() for p in model.generators.parameters()),
        averaged=is_averaged(model),
        versions={k.removesuffix('_version'): v for k, v in meta.items() if 'version' in k},
        **told,
    )


def _address(base_url, out, file):
    if base_url is None:
        return (out / file).as_uri()
    if not re.match(r'\w+://', base_url):
        raise ValueError(
            f"The base address is one such as 'https://host/folder', got '{base_url}'."
        )
    return f'{base_url.rstrip("/")}/{file}'


def _check_new(out, name):
    for path in (out / f'{name}.pth', out / f'{name}.md', out / f'{name}_samples'):
        if path.exists():
            raise FileExistsError(f"'{path}' exists: give --overwrite to replace this release.")


def _data_name(cfg):
    place = cfg.get('train_dataloader')
    while isinstance(place, dict) and 'data_root' not in place:  # wrappers, such as RepeatDataset
        place = place.get('dataset')
    root = place['data_root'] if isinstance(place, dict) else None
    return Path(root).name if isinstance(root, str) and root else None


def _translate_and_check(model, shop, name, pictures):
    """Write sample pictures and compare them; return their paths, source and translations."""
    inputs, outputs, shown = shop / 'inputs', shop / 'outputs', f'{name}_samples'
    outputs.mkdir()
    for number, picture in enumerate(pictures or [noise_picture()]):
        write_picture(inputs / f'{number}.png', picture)
    expected = dict(translations(model, sorted(inputs.iterdir())))
    check_in_fresh_process(shop / f'{name}.pth', inputs, expected, outputs)
    rows = []
    for number, picture in enumerate(pictures):
        wanted = [k for k in expected if k.startswith(f'{number}_{model.check_target(None)}_')]
        files = {f'{shown}/{number}_source.png': picture}
        files.update({f'{shown}/{key}.png': expected[key] for key in wanted})
        for path, content in files.items():
            write_picture(shop / path, content)
        rows.append(list(files))
    return rows


@contextmanager
def _workshop(out, name):
    """A folder inside ``out`` for unfinished files; what an interrupted run left in it goes."""
    shop = out / f'.{name}.publishing'
    shutil.rmtree(shop, ignore_errors=True)
    made = not out.exists()
    try:
        shop.mkdir(parents=True)
        yield shop
    except OSError as error:
        raise type(error)(f"Nothing was released: '{out}' cannot be written: {error}") from error
    finally:
        shutil.rmtree(shop, ignore_errors=True)
        if made and out.is_dir() and not any(out.iterdir()):
            out.rmdir()


def _move(shop, out, names):
    for name in names:
        (out / name).parent.mkdir(exist_ok=True)
        os.replace(shop / name, out / name)
