"""Released models by name: what there is, and one of them on this machine."""

import difflib
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

import sesim_mmagic
from sesim_mmagic.utils.downloads import cached_download
from sesim_mmagic.utils.shapes import misfit

INDEX = 'model-index.yml'
INDEX_VARIABLE = 'SESIM_MMAGIC_MODEL_INDEX'
# What is read of an index and of the metafiles that it names.
_METAFILE = {'Import?': [str], 'Collections?': [{'Name': str}], 'Models?': [{'Name': str}]}
_MODEL = {
    **dict.fromkeys(('Name', 'In Collection', 'Config', 'Weights'), str),
    'Metadata': {'SHA256': str},
    'Results?': [{'Metrics': dict}],
}


@dataclass(frozen=True)
class ReleasedModel:
    """One model of the index.

    Attributes:
        name (str): Name, that of its config.
        collection (str): The method.
        config (str): Path of the config below the folder of the index.
        weights (str): Address of the checkpoint.
        metadata (dict): Training data, iterations and so on, as the metafile has them; ``SHA256``
            is the checksum of the checkpoint.
        results (list[dict]): ``Task``, ``Dataset`` and ``Metrics`` of each test.
    """

    name: str
    collection: str
    config: str
    weights: str
    metadata: dict
    results: list


def list_models(index: str | Path | None = None) -> list[ReleasedModel]:
    """List the released models, in the order of the index.

    Args:
        index (str | Path, optional): A ``model-index.yml``. Defaults to None: the file that the
            environment variable ``SESIM_MMAGIC_MODEL_INDEX`` names, else the package's own.

    Raises:
        FileNotFoundError: The index, or a metafile that it imports, does not exist.
        ValueError: One of them is no index, or a model lacks an entry that is needed.
    """
    index = find_index(index)
    models = []
    for name in read_yaml(index).get('Import') or []:
        path = index.parent / name
        entries = read_yaml(path).get('Models') or []
        models += [_released(entry, f"'{path}': Models[{i}]") for i, entry in enumerate(entries)]
    return models


def resolve_model(name_or_path: str | Path, index: str | Path | None = None) -> str:
    """Path of a checkpoint on this machine.

    A released model is downloaded once, into the cache of ``torch.hub``. Its sha256 is compared
    every time.

    Args:
        name_or_path (str | Path): A file or URL of a checkpoint, which stays what it is; or the
            name of a released model, or the beginning of a name where no other has it.
        index (str | Path, optional): As in :func:`list_models`. Defaults to None.

    Returns:
        str: Path of the checkpoint (or the URL that was given).

    Raises:
        FileNotFoundError: The model cannot be downloaded.
        ValueError: There is no such model, the beginning fits several, or the file has another
            sha256 than the index says; it is left where it is.
    """
    given = str(name_or_path)
    if _is_address(given):
        return given
    model = _find(given, list_models(index), find_index(index))
    try:
        return str(cached_download(model.weights, model.metadata['SHA256']))
    except (FileNotFoundError, ValueError) as error:
        raise type(error)(f"Model '{model.name}': {error}") from None


def check_model(name_or_path: str | Path, index: str | Path | None = None) -> None:
    """Raise an error where :func:`resolve_model` could find nothing; nothing is downloaded.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: There is no such model, or the beginning of a name fits several.
    """
    given = str(name_or_path)
    if not _is_address(given):
        _find(given, list_models(index), find_index(index))
    elif '://' not in given and not Path(given).expanduser().is_file():
        raise FileNotFoundError(f"Checkpoint '{given}' does not exist.")


def find_index(index: str | Path | None = None) -> Path:
    """Path of the index (see :func:`list_models`); ``FileNotFoundError`` if there is none."""
    package = Path(sesim_mmagic.__file__).parent
    index = index or os.environ.get(INDEX_VARIABLE)
    # mim's folder in an installed package; in a checkout that is not installed, its root.
    places = [Path(index)] if index else [package / '.mim' / INDEX, package.parent / INDEX]
    for path in places:
        if path.is_file():
            return path
    raise FileNotFoundError(f"There is no index of models: '{places[-1]}' does not exist.")


def read_yaml(path: str | Path) -> dict[str, Any]:
    """Content of a metafile or an index.

    Raises:
        FileNotFoundError: It does not exist.
        ValueError: It is no YAML, or what it holds has another shape.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"Metafile '{path}' does not exist.")
    try:
        content = yaml.safe_load(Path(path).read_text(encoding='utf-8'))
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # a wrong date, for example
        reason = ' '.join(str(error).split())
        raise ValueError(f"Metafile '{path}' cannot be read: {reason}") from None
    if not isinstance(content, dict):
        raise ValueError(f"Metafile '{path}' holds no mapping of Collections, Models or Import.")
    content = {key: value for key, value in content.items() if value is not None}
    problem = misfit(content, _METAFILE)
    if problem:
        raise ValueError(f"Metafile '{path}': {problem}.")
    return content


def _released(entry: dict, where: str) -> ReleasedModel:
    problem = misfit(entry, _MODEL, where)
    if problem:
        raise ValueError(
            f'{problem}: a model needs Name, In Collection, Config, Weights and Metadata with '
            'SHA256, as tools/publish_model.py writes them.'
        )
    sha256, weights = entry['Metadata']['SHA256'], entry['Weights']
    if not re.fullmatch('[0-9a-f]{64}', sha256):
        raise ValueError(f"{where}: SHA256 must be 64 hexadecimal digits, not '{sha256}'.")
    # Its last part becomes the name of a file in the cache.
    if not re.fullmatch(r'\w+://.*/\w[^/]*', weights):
        raise ValueError(
            f'{where}: Weights must be the address (https:// or file://) of a file, '
            f"not '{weights}'."
        )
    return ReleasedModel(
        name=entry['Name'],
        collection=entry['In Collection'],
        config=entry['Config'],
        weights=weights,
        metadata=entry['Metadata'],
        results=entry.get('Results', []),
    )


def _is_address(given: str) -> bool:
    path = Path(given)
    return '://' in given or path.name != given or path.suffix == '.pth' or path.is_file()


def _find(given: str, models: list[ReleasedModel], index: Path) -> ReleasedModel:
    fitting = [model for model in models if model.name == given]
    fitting = fitting or [model for model in models if model.name.startswith(given)]
    if len(fitting) == 1:
        return fitting[0]
    names = [model.name for model in (fitting or models)]
    if fitting:
        raise ValueError(f"'{given}' may be any of {names}: write more of the name.")
    near = difflib.get_close_matches(given, names, cutoff=0.3) or names
    raise ValueError(
        f"There is no file and no released model '{given}'. "
        + (f'The nearest names: {near}.' if near else f"'{index}' has no model yet.")
    )
