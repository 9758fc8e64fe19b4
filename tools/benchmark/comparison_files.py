"""Comparisons as YAML files: read, and refused before the work if they cannot be meant."""

import argparse
from collections.abc import Sequence
from dataclasses import MISSING, fields, replace
from pathlib import Path
from typing import Any

from comparison import Comparison, Method, WeightSearch, check_settings, settings_over
from trainings import ROOT

from sesim_mmagic.apis import command_line
from sesim_mmagic.utils.messages import in_one_line


def read_comparison(file: Path, args: argparse.Namespace) -> Comparison:
    """The comparison of a file, or its search for weights, as far as the command line wants it.

    Raises:
        CommandError: If the file is missing, or holds what is not a comparison.
    """
    from yaml import YAMLError

    if not file.is_file():
        raise command_line.CommandError(f"'{file}' does not exist")
    try:
        content = _known('the file', Comparison, _with_base(file), also=('weight_search',))
        given = _dictionary('methods', content.pop('methods'))
        methods = {str(title): _method(title, _whole(title, given)) for title in given}
        budgets = _dictionary('budgets', content['budgets'])
        search = content.pop('weight_search', None)
        if search is not None:
            search = WeightSearch(**_known('weight_search', WeightSearch, search))
        content['methods'] = _chosen('--methods', methods, args.methods)
        content['budgets'] = _chosen('--budgets', budgets, args.budgets)
        content['seeds'] = args.seeds or content.get('seeds', Comparison.seeds)
        content['data_root'] = args.data_root or str(ROOT / str(content['data_root']))
        comparison = Comparison(**content)
        return _search(search, comparison, args) if args.search_weights else comparison
    except (OSError, ValueError, YAMLError) as error:
        raise command_line.CommandError(f"'{file}': {in_one_line(error)}") from error


def _search(
    search: WeightSearch | None, comparison: Comparison, args: argparse.Namespace
) -> Comparison:
    if search is None:
        raise ValueError('it has no weight_search')
    if args.budgets:
        raise ValueError('--budgets: a search has the budget of weight_search')
    without = [title for title in args.methods or () if not comparison.methods[title].weights]
    if without:
        raise ValueError(f'--methods: {without[0]!r} has no weights to search')
    return replace(search, seeds=args.seeds or search.seeds).comparison(comparison)


def _with_base(file: Path, above: Sequence[Path] = ()) -> Any:
    """Contents of a file over those of its ``_base_``.

    Methods, and the settings of the file and of each method, are merged one by one; all else is
    taken as a whole. Files ``above`` stand on it.
    """
    from yaml import YAMLError

    content = _load(file)
    if not isinstance(content, dict) or '_base_' not in content:
        return content
    name = content.pop('_base_')
    if not isinstance(name, str):
        raise ValueError(f'_base_ must be the name of a file beside this one, got {name!r}')
    below = (file.parent / name).resolve()
    above = [*above, file.resolve()]
    if below in above:
        chain = ' on '.join(path.name for path in [*above, below])
        raise ValueError(f'_base_: {chain} stands on itself')
    try:
        base = _dictionary(name, _with_base(below, above))
    except YAMLError as error:
        raise ValueError(f"_base_ '{name}': {in_one_line(error)}") from error
    merged = _over(name, base, content)
    merged['methods'] = methods = dict(_dictionary(f'methods of {name}', base.get('methods')))
    for title, method in _dictionary('methods', content.get('methods', methods)).items():
        if title in methods and isinstance(method, dict):
            of = f'{title} of {name}'
            method = _over(of, _dictionary(of, methods[title]), method)
        methods[title] = method
    return merged


def _over(of: str, base: dict, content: dict) -> dict:
    merged = {**base, **content}
    below, own = base.get('settings', {}), content.get('settings', {})
    check_settings(below, f'{of}: settings')
    if 'settings' in merged and isinstance(own, dict):  # else it is refused later
        merged['settings'] = settings_over(below, own)
    return merged


def _load(file: Path) -> Any:
    import mmengine

    if file.suffix not in ('.yaml', '.yml'):
        raise ValueError(f"'{file}' must be a YAML file")
    return mmengine.load(file)


def _whole(title: str, methods: dict) -> Any:
    """A method over the one that it is ``like``, whose weights it does not search."""
    method = methods[title]
    if not isinstance(method, dict) or 'like' not in method:
        return method
    own = dict(method)
    name = own.pop('like')
    other = methods.get(name) if isinstance(name, str) else None
    if not isinstance(other, dict) or 'like' in other:
        raise ValueError(f'{title}: like must name a method with a config of its own, got {name!r}')
    return _over(name, {key: value for key, value in other.items() if key != 'weights'}, own)


def _method(title: str, settings: Any) -> Method:
    known = _known(title, Method, settings, also=('like',))
    try:
        return Method(**known)
    except ValueError as error:
        raise ValueError(f'{title}: {error}') from error


def _dictionary(where: str, content: Any) -> dict:
    if not isinstance(content, dict) or not content:
        raise ValueError(f'{where} must be settings by their names, got {content!r}')
    return content


def _known(where: str, kind: type, content: Any, also: Sequence[str] = ()) -> dict:
    """A copy of settings of a kind; what it does not know, or lacks, is refused."""
    names = {
        entry.name: entry.default is entry.default_factory is MISSING for entry in fields(kind)
    }
    names.update(dict.fromkeys(also, False))
    unknown = [name for name in _dictionary(where, content) if name not in names]
    lacking = [name for name, is_needed in names.items() if is_needed and name not in content]
    if unknown or lacking:
        what = f'does not know {unknown[0]!r}' if unknown else f'lacks {lacking[0]!r}'
        raise ValueError(f'{where} {what}; it holds {", ".join(names)}')
    return dict(content)


def _chosen(what: str, known: dict, names: Sequence[str] | None) -> dict:
    unknown = [name for name in names or () if name not in known]
    if unknown:
        raise ValueError(
            f'{what}: the file has no {unknown[0]!r}, it has {", ".join(map(repr, known))}'
        )
    return {name: known[name] for name in names or known}
