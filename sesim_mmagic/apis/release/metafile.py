"""What mim reads: a metafile in the folder of each method, and the index that lists them."""

import os
import re
from pathlib import Path
from typing import Any

import yaml

from sesim_mmagic.apis.model_zoo import INDEX, read_yaml

TASK = 'Image-to-Image Translation'


def find_config(root: str | Path, name: str, config: str | Path | None = None) -> str:
    """Path of a model's config below a repository: ``configs/<method>/<name>.py``.

    Raises:
        ValueError: It does not lie in a folder of ``<root>/configs``, or is not the only one.
    """
    configs = Path(root, 'configs').resolve()
    paths = sorted(configs.glob(f'*/{name}.py')) if config is None else [Path(config).resolve()]
    if len(paths) != 1 or paths[0].parent.parent != configs:
        raise ValueError(
            f"A model of the index needs its config as '{configs}/<method>/{name}.py', found "
            f'{[str(path) for path in paths]}. Give the config, or write no index.'
        )
    return paths[0].relative_to(configs.parent).as_posix()


def index_files(root: str | Path, config: str, facts: dict[str, Any]) -> dict[Path, str]:
    """New texts of the files of a repository that a released model changes.

    The metafile comes before the index that names it.

    Raises:
        ValueError: One of them cannot be read.
        PermissionError: One of them cannot be written.
    """
    name = Path(config).with_name('metafile.yml').as_posix()
    metafile, index = Path(root, name), Path(root, INDEX)
    for path in (metafile, index):
        if not os.access(path.parent, os.W_OK):
            raise PermissionError(f"'{path}' cannot be written: its folder is read-only.")
    content = read_yaml(index) if index.is_file() else {}
    imports = sorted({*(content.get('Import') or []), name})
    return {
        metafile: _metafile_with(metafile, _entry(facts, config)),
        index: _dump(index, {**content, 'Import': imports}),
    }


def _entry(facts: dict[str, Any], config: str) -> dict:
    """Entry of a model in a metafile."""
    metadata = {
        'Training Data': facts['data'],
        'Iterations': facts['iterations'],
        'Training Resources': facts['resources'],
        'Parameters': facts['parameters'],
        'sesim_mmagic': facts['version'],
        'SHA256': facts['sha256'],
    }
    data = facts['data'] or facts['name']
    # The split is part of the name: one metric of two splits is two columns of mim's table.
    results = [
        dict(Task=TASK, Dataset=f'{data}, {score["split"]}', Metrics=score['metrics'])
        for score in facts['scores']
    ]
    return dict(
        Name=facts['name'],
        Config=config,
        Metadata={key: value for key, value in metadata.items() if value is not None},
        Weights=facts['weights'],
        **(dict(Results=results) if results else {}),
    )


def _metafile_with(path: Path, entry: dict) -> str:
    """A metafile with a model in the place of the one of its name, or at the end.

    The collection, if there is none yet, gets its title and paper from the method's README.
    """
    content = read_yaml(path) if path.is_file() else {}
    collections = content.get('Collections') or [_collection(path.parent)]
    entry = {'Name': entry['Name'], 'In Collection': collections[0]['Name'], **entry}
    models = {model['Name']: model for model in content.get('Models') or []}
    models[entry['Name']] = entry
    return _dump(path, {**content, 'Collections': collections, 'Models': list(models.values())})


def _collection(folder: Path) -> dict:
    readme = folder / 'README.md'
    text = readme.read_text(encoding='utf-8') if readme.is_file() else ''
    title = re.search(r'^# (.+)$', text, re.MULTILINE)
    paper = re.search(r'^> \[(.+?)\]\((https?://.+?)\)', text, re.MULTILINE)
    return {
        'Name': title[1].strip() if title else folder.name,
        **({'Paper': dict(Title=paper[1], URL=paper[2])} if paper else {}),
        **({'README': f'configs/{folder.name}/README.md'} if text else {}),
    }


def _dump(path: Path, content: dict) -> str:
    """YAML after the comments that the file begins with."""
    lines = path.read_text(encoding='utf-8').splitlines() if path.is_file() else []
    end = next((i for i, line in enumerate(lines) if not line.startswith('#')), len(lines))
    text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=100)
    return '\n'.join([*lines[:end], text])
