"""What mim reads: a metafile in the folder of each method, and the index that lists them."""

import os
import re
from pathlib import Path

import yaml

from sesim_mmagic.apis.model_zoo import INDEX, read_yaml

METAFILE = 'metafile.yml'
_TITLE = re.compile(r'^# (.+)$', re.MULTILINE)
_PAPER = re.compile(r'^> \[(.+?)\]\((https?://.+?)\)', re.MULTILINE)


def find_config(root, name, config=None):
    """Path of a model's config below a repository.

    Args:
        root (str | Path): Folder that holds ``configs/`` and ``model-index.yml``.
        name (str): Name of the config.
        config (str | Path | None): The config, where it is known.

    Returns:
        str: ``configs/<method>/<name>.py``.

    Raises:
        ValueError: It does not lie in a folder of ``<root>/configs``, or is not the only one.
    """
    configs = Path(root, 'configs').resolve()
    found = sorted(configs.glob(f'*/{name}.py')) if config is None else [Path(config).resolve()]
    if len(found) != 1 or found[0].parent.parent != configs:
        raise ValueError(
            f"A model of the index needs its config as '{configs}/<method>/{name}.py', found "
            f'{[str(path) for path in found]}. Give the config, or write no index.'
        )
    return found[0].relative_to(configs.parent).as_posix()


def metafile_with(path, entry):
    """Text of a metafile with a model added, or put in the place of the one of its name.

    Other models and their order stay, comments at the top too. The collection, if there is none
    yet, gets its title and its paper from the method's README.

    Args:
        path (str | Path): ``metafile.yml`` of the method; it need not exist.
        entry (dict): Entry of the model without ``In Collection``.

    Returns:
        str: YAML.

    Raises:
        ValueError: The file is there and no metafile.
    """
    path = Path(path)
    content = read_yaml(path) if path.is_file() else {}
    collections = content.get('Collections') or [_collection(path.parent)]
    models = list(content.get('Models') or [])
    entry = dict(
        {'Name': entry['Name'], 'In Collection': collections[0]['Name']},
        **{key: value for key, value in entry.items() if key != 'Name'},
    )
    places = [i for i, model in enumerate(models) if model.get('Name') == entry['Name']]
    if places:
        models[places[0]] = entry
    else:
        models.append(entry)
    return _dump(path, {**content, 'Collections': collections, 'Models': models})


def index_with(path, metafile):
    """Text of an index that imports a metafile, once; metafiles are in the order of their names.

    Args:
        path (str | Path): ``model-index.yml``; it need not exist.
        metafile (str): Path of the metafile below the folder of the index.

    Returns:
        str: YAML.

    Raises:
        ValueError: The file is there and no index.
    """
    content = read_yaml(path) if Path(path).is_file() else {}
    imports = sorted({*(content.get('Import') or []), metafile})
    return _dump(path, {**content, 'Import': imports})


def index_files(root, config, entry):
    """Files of a repository that a released model changes.

    Args:
        root (str | Path): Folder that holds ``configs/`` and ``model-index.yml``.
        config (str): Path of the config below it.
        entry (dict): Entry of the model (see :func:`metafile_with`).

    Returns:
        dict[Path, str]: New texts, the metafile before the index that names it.

    Raises:
        ValueError: One of them cannot be read.
        PermissionError: One of them, or its folder, cannot be written.
    """
    metafile = Path(config).with_name(METAFILE).as_posix()
    files = {Path(root, metafile): metafile_with(Path(root, metafile), entry)}
    files[Path(root, INDEX)] = index_with(Path(root, INDEX), metafile)
    for path in files:
        if not os.access(path.parent, os.W_OK):
            raise PermissionError(f"'{path}' cannot be written: its folder is read-only.")
    return files


def _collection(folder):
    readme = folder / 'README.md'
    text = readme.read_text(encoding='utf-8') if readme.is_file() else ''
    title, paper = _TITLE.search(text), _PAPER.search(text)
    collection = dict(Name=title[1].strip() if title else folder.name)
    if paper:
        collection['Paper'] = dict(Title=paper[1], URL=paper[2])
    if text:
        collection['README'] = f'configs/{folder.name}/README.md'
    return collection


def _dump(path, content):
    lines = Path(path).read_text(encoding='utf-8').splitlines() if Path(path).is_file() else []
    end = next((i for i, line in enumerate(lines) if not line.startswith('#')), len(lines))
    text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=100)
    return '\n'.join([*lines[:end], text])
