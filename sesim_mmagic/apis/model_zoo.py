"""Released models by name: what there is, and one of them on this machine."""

import difflib
import os
import re
from pathlib import Path
from typing import Any

import yaml

import sesim_mmagic
from sesim_mmagic.utils.downloads import cached_download, check_sha256
from sesim_mmagic.utils.shapes import misfit

INDEX = 'model-index.yml'
#: Folder beside the index with the released files that travel with the package.
SHIPPED = 'models'
INDEX_VARIABLE = 'SESIM_MMAGIC_MODEL_INDEX'
_AGAIN = f"Install the package again, or, in a checkout, 'git restore {SHIPPED}'"
# What is read of an index and of the metafiles that it names.
_METAFILE = {'Import?': [str], 'Collections?': [{'Name': str}], 'Models?': [{'Name': str}]}
_MODEL = {
    **dict.fromkeys(('Name', 'In Collection', 'Config', 'Weights'), str),
    'Metadata': {'SHA256': str},
    'Results?': [{'Metrics': dict}],
}


def list_models(index: str | Path | None = None) -> list[dict[str, Any]]:
    """List the released models, in the order of the index.

    Args:
        index (str | Path, optional): A ``model-index.yml``. Defaults to None: the file that the
            environment variable ``SESIM_MMAGIC_MODEL_INDEX`` names, else the package's own.

    Returns:
        list[dict]: Models as their metafiles have them: ``Name``, ``In Collection`` (the method),
        ``Config`` (its path below the folder of the index), ``Weights`` (the address of the
        checkpoint, or ``models/<file>`` of one that has no address yet), ``Metadata`` (with its
        checksum, ``SHA256``) and ``Results``, if there are any.

    Raises:
        FileNotFoundError: The index, or a metafile that it imports, does not exist.
        ValueError: One of them is no index, a model lacks an entry that is needed, or two models
            have the same name.
    """
    index = find_index(index)
    models: dict[str, dict[str, Any]] = {}
    for name in read_yaml(index).get('Import', []):
        path = index.parent / name
        for number, model in enumerate(read_yaml(path).get('Models', [])):
            where = f"'{path}': Models[{number}]"
            _check(model, where)
            if model['Name'] in models:
                raise ValueError(
                    f"{where}: '{index}' has another model '{model['Name']}': rename or remove one."
                )
            models[model['Name']] = model
    return list(models.values())


def find_model(name_or_path: str | Path, index: str | Path | None = None) -> dict[str, Any] | None:
    """The released model of a name, or of the beginning of a name where no other has it.

    Args:
        name_or_path (str | Path): The name; or file or URL of a checkpoint, of which files need not
            exist.
        index (str | Path, optional): As in :func:`list_models`. Defaults to None.

    Returns:
        dict | None: The model, see :func:`list_models`; None of a file or URL.

    Raises:
        ValueError: There is no such model, or the beginning fits several.
    """
    given, path = str(name_or_path), Path(name_or_path)
    if '://' in given or path.name != given or path.suffix == '.pth' or path.is_file():
        return None
    models = list_models(index)
    fitting = [model for model in models if model['Name'] == given]
    fitting = fitting or [model for model in models if model['Name'].startswith(given)]
    if len(fitting) == 1:
        return fitting[0]
    names = [model['Name'] for model in fitting or models]
    if fitting:
        raise ValueError(f"'{given}' may be any of {names}: write more of the name.")
    near = difflib.get_close_matches(given, names, cutoff=0.3) or names
    raise ValueError(
        f"There is no file and no released model '{given}'. "
        + (f'The nearest names: {near}.' if near else f"'{find_index(index)}' has no model yet.")
    )


def resolve_model(name_or_path: str | Path, index: str | Path | None = None) -> str:
    """Path of a checkpoint on this machine.

    The file of a released model lies in the folder ``models`` beside the index, if it travels with
    the package, or is downloaded once, into the cache of ``torch.hub``. Its sha256 is compared
    every time.

    Args:
        name_or_path (str | Path): As in :func:`find_model`; a file or URL stays what it is.
        index (str | Path, optional): As in :func:`list_models`. Defaults to None.

    Returns:
        str: Path of the checkpoint (or the URL that was given).

    Raises:
        FileNotFoundError: The model cannot be downloaded, or its file does not lie in ``models``
            and it has no address.
        ValueError: As :func:`find_model`; or the file has another sha256 than the index says, and
            is left where it is.
    """
    model = find_model(name_or_path, index)
    if model is None:
        return str(name_or_path)
    weights, sha256 = model['Weights'], model['Metadata']['SHA256']
    shipped = find_index(index).parent / SHIPPED / Path(weights).name
    try:
        if shipped.is_file():
            check_sha256(shipped, sha256, 'released', f'{_AGAIN}.')
            return str(shipped)
        if '://' in weights:
            return str(cached_download(weights, sha256))
        raise FileNotFoundError(f"it has no address, and '{shipped}' does not exist. {_AGAIN}.")
    except (FileNotFoundError, ValueError) as error:
        raise type(error)(f"Model '{model['Name']}': {error}") from None


def find_index(index: str | Path | None = None) -> Path:
    """Path of the index (see :func:`list_models`); ``FileNotFoundError`` if there is none."""
    package = Path(sesim_mmagic.__file__).parent
    # mim's folder in an installed package; in a checkout that is not installed, its root.
    installed = package / '.mim' / INDEX
    own = installed if installed.is_file() else package.parent / INDEX
    path = Path(index or os.environ.get(INDEX_VARIABLE) or own)
    if not path.is_file():
        raise FileNotFoundError(f"There is no index of models: '{path}' does not exist.")
    return path


def read_yaml(path: Path) -> dict[str, Any]:
    """Content of a metafile or an index, without entries that hold nothing.

    Raises:
        FileNotFoundError: It does not exist.
        ValueError: It is no YAML, or what it holds has another shape.
    """
    if not path.is_file():
        raise FileNotFoundError(f"Metafile '{path}' does not exist.")
    try:
        content = yaml.safe_load(path.read_text(encoding='utf-8'))
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # a wrong date, for example
        reason = ' '.join(str(error).split())
        raise ValueError(f"Metafile '{path}' cannot be read: {reason}") from None
    if not isinstance(content, dict):
        raise ValueError(f"Metafile '{path}' holds no mapping of Collections, Models or Import.")
    content = {key: value for key, value in content.items() if value is not None}
    if problem := misfit(content, _METAFILE):
        raise ValueError(f"Metafile '{path}': {problem}.")
    return content


def _check(model: dict[str, Any], where: str) -> None:
    if problem := misfit(model, _MODEL, where):
        raise ValueError(
            f'{problem}: a model needs Name, In Collection, Config, Weights and Metadata with '
            'SHA256, as tools/publish_model.py writes them.'
        )
    sha256, weights = model['Metadata']['SHA256'], model['Weights']
    if not re.fullmatch('[0-9a-f]{64}', sha256):
        raise ValueError(f"{where}: SHA256 must be 64 hexadecimal digits, not '{sha256}'.")
    # Its last part becomes the name of a file, in the cache or in the folder beside the index.
    if not re.fullmatch(rf'(\w+://.*|{SHIPPED})/\w[^/]*', weights):
        raise ValueError(
            f'{where}: Weights must be the address (https:// or file://) of a file or '
            f"{SHIPPED}/<file>, not '{weights}'"
        )
