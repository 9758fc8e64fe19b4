"""What mim reads: a metafile in the folder of each method, and the index that lists them."""

import os
import re
from itertools import takewhile
from pathlib import Path
from typing import Any

import yaml

from sesim_mmagic.apis.model_zoo import INDEX, read_yaml


def index_files(
    root: str | Path, config: str | Path | None, facts: dict[str, Any]
) -> dict[Path, str]:
    """New texts of the files of a repository that a released model changes.

    Args:
        root (str | Path): The repository.
        config (str | Path, optional): The model's config; None for the one that it was trained
            with.
        facts (dict): What is known of the model, see ``publish``.

    Returns:
        dict[Path, str]: The metafile, and the index that names it.

    Raises:
        ValueError: The config does not lie in a folder of ``<root>/configs`` or is not the only
            one, another metafile has a model of this name, or one of the files cannot be read.
        PermissionError: One of them cannot be written.
    """
    folder = Path(root, 'configs').resolve()
    configs = [Path(config).resolve()] if config else sorted(folder.glob(f'*/{facts["config"]}.py'))
    if len(configs) != 1 or configs[0].parent.parent != folder:
        raise ValueError(
            f"A model of the index needs its config as '{folder}/<method>/{facts['config']}.py', "
            f'found {[str(path) for path in configs]}. Give the config, or write no index.'
        )
    metafile, index = configs[0].with_name('metafile.yml'), folder.with_name(INDEX)
    for path in (metafile, index):
        if not os.access(path.parent, os.W_OK):
            raise PermissionError(f"'{path}' cannot be written: its folder is read-only.")
    listing = read_yaml(index) if index.is_file() else {}
    own = metafile.relative_to(index.parent).as_posix()
    imports = {*listing.get('Import', []), own}
    others = [index.parent / path for path in imports - {own}]
    names = {model['Name']: path for path in others for model in read_yaml(path).get('Models', [])}
    if facts['name'] in names:
        raise ValueError(
            f"'{names[facts['name']]}' has a model '{facts['name']}' already: give another name "
            '(--name), or remove that entry.'
        )
    return {
        metafile: _with_model(metafile, configs[0].name, facts),
        index: _dump(index, {**listing, 'Import': sorted(imports)}),
    }


def _with_model(metafile: Path, config: str, facts: dict[str, Any]) -> str:
    """A metafile with a model in the place of the one of its name, or at the end."""
    content = read_yaml(metafile) if metafile.is_file() else {}
    collections = content.get('Collections') or [_collection(metafile.parent)]
    metadata = {
        'Training Data': facts['data'],
        'Iterations': facts['iterations'],
        'Training Resources': facts['resources'],
        'Parameters': facts['parameters'],
        'sesim_mmagic': facts['versions']['sesim_mmagic'],
        'SHA256': facts['sha256'],
    }
    # The split is part of the name: one metric of two splits is two columns of mim's table.
    results = [
        {
            'Task': 'Image-to-Image Translation',
            'Dataset': f'{facts["data"] or facts["name"]}, {score["split"]}',
            'Metrics': score['metrics'],
        }
        for score in facts['scores']
    ]
    models = {model['Name']: model for model in content.get('Models', [])}
    models[facts['name']] = {
        'Name': facts['name'],
        'In Collection': collections[0]['Name'],
        'Config': f'configs/{metafile.parent.name}/{config}',
        'Metadata': {key: value for key, value in metadata.items() if value is not None},
        'Weights': facts['weights'],
        **({'Results': results} if results else {}),
    }
    content = {**content, 'Collections': collections, 'Models': list(models.values())}
    return _dump(metafile, content)


def _collection(folder: Path) -> dict[str, Any]:
    """A collection with title and paper of the method's README."""
    readme = folder / 'README.md'
    text = readme.read_text(encoding='utf-8') if readme.is_file() else ''
    title = re.search(r'^# (.+)$', text, re.MULTILINE)
    paper = re.search(r'^> \[(.+?)\]\((https?://.+?)\)', text, re.MULTILINE)
    return {
        'Name': title[1].strip() if title else folder.name,
        **({'Paper': dict(Title=paper[1], URL=paper[2])} if paper else {}),
        **({'README': f'configs/{folder.name}/README.md'} if text else {}),
    }


def _dump(path: Path, content: dict[str, Any]) -> str:
    """YAML after the comments that the file begins with."""
    text = path.read_text(encoding='utf-8') if path.is_file() else ''
    comments = ''.join(takewhile(lambda line: line.startswith('#'), text.splitlines(True)))
    return comments + yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=100)
