"""Components of a config against the signatures of their classes; nothing is built.

MMEngine tells a misspelt argument when it calls the class, in the middle of the building and in a
traceback of hundreds of lines.
"""

import inspect
import math
import re
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from numbers import Integral, Real

from mmengine import registry
from mmengine.hooks import CheckpointHook
from mmengine.registry import Registry

from sesim_mmagic.apis.command_line import nearest
from sesim_mmagic.utils.messages import cut

#: Registry of what an argument of this name holds; other components are of their parent's.
_REGISTRIES = {
    'dataset': registry.DATASETS,
    'sampler': registry.DATA_SAMPLERS,
    'transforms': registry.TRANSFORMS,
    'vis_backends': registry.VISBACKENDS,
    'metrics': registry.METRICS,
    'optimizer': registry.OPTIMIZERS,
}
#: What MMagic's models build from their registry; other dictionaries with a ``type`` may be names
#: of anything (``VisualizationHook``'s of pictures), as are those of a user's own classes.
_PARTS = re.compile(r'generators?|discriminators?|data_preprocessor|\w+_loss')
#: Arguments that MMEngine takes out before it calls the class.
_TAKEN_OUT = {
    'type', '_scope_', '_delete_', 'priority', 'constructor', 'paramwise_cfg', 'modules',
    'convert_to_iter_based',
}  # fmt: skip
#: Packages whose annotations say what their code takes.
_ANNOTATED = ('sesim_mmagic', 'mmengine', 'torch')
_WORDS = dict(
    bool='True or False', int='a whole number', float='a finite number', str='a text',
    dict='a dictionary', Dict='a dictionary', list='a list', List='a list', NoneType='None',
)  # fmt: skip

Arguments = dict[str, tuple[object, str]]


def wrong_components(
    config: object, path: str, kinds: Registry, scope: str, default: str | None = None
) -> Iterator[str]:
    """What is wrong with a component, and with those among its arguments.

    Args:
        config (object): A dictionary with ``type``, or a list of them.
        path (str): Place in the config, such as ``model.structure_loss``.
        kinds (Registry): Where its type is registered.
        scope (str): Scope of types that name none.
        default (str, optional): Type where none is named. Defaults to None: nothing is checked.

    Yields:
        str: A sentence that names the place.
    """
    if isinstance(config, (list, tuple)):
        for index, item in enumerate(config):
            yield from wrong_components(item, f'{path}.{index}', kinds, scope, default)
        return
    if not isinstance(config, Mapping):
        yield f'{path} must be a dictionary, got {config!r}'
        return
    component, scope = config.get('type', default), config.get('_scope_', scope)
    if component is None:
        # Names of components, as of more discriminators.
        for name, part in config.items():
            if isinstance(part, Mapping):
                yield from wrong_components(part, f'{path}.{name}', kinds, scope)
        return
    if isinstance(component, str):
        component = _find_component(component, kinds, scope)
        if component is None:
            known = _registered_names(kinds, scope, '.' in config['type'])
            yield f'{path}: there is no {config["type"]}{nearest(config["type"], known)}'
            return
    if not callable(component):
        yield f'{path}.type must be the name of a component, got {component!r}'
        return
    accepted = accepted_arguments(component)
    arguments = {name: value for name, value in config.items() if name not in _TAKEN_OUT}
    if accepted is not None:
        title = getattr(component, '__name__', str(component))
        yield from wrong_arguments(arguments, path, accepted, title)
    for name, value in arguments.items():
        module = (accepted or {}).get(name, (None, ''))[1]
        inner = _registry_of(name, module, kinds)
        for place, part in sections(value, f'{path}.{name}') if inner else ():
            yield from wrong_components(part, place, inner, scope)


def _registry_of(name: str, module: str, kinds: Registry) -> Registry | None:
    """Where the components of an argument are registered; None if it builds none, as far as known.

    ``module`` is that of the function which takes the argument, ``kinds`` the registry of the
    component that it belongs to.
    """
    is_part = module.startswith('mmagic.models') and _PARTS.fullmatch(name)
    is_pipeline = name.endswith('pipeline')
    is_built = module.startswith('sesim_mmagic.') or is_part or is_pipeline or name in _REGISTRIES
    # Makers of layers and the like have names and arguments of their own.
    if not is_built or name.endswith(('_cfg', '_config')):
        return None
    inner = registry.TRANSFORMS if is_pipeline else _REGISTRIES.get(name, kinds)
    of_none = inner in (registry.METRICS, registry.HOOKS, registry.EVALUATOR) and name != 'metrics'
    return registry.MODELS if of_none else inner


def sections(content: object, path: str) -> Iterator[tuple[str, Mapping]]:
    """A dictionary of settings with its place, or each where there is a list of them."""
    if isinstance(content, Mapping):
        yield path, content
    elif isinstance(content, (list, tuple)):
        for index, part in enumerate(content):
            yield from sections(part, f'{path}.{index}')


def _find_component(name: str, kinds: Registry, scope: str) -> object:
    """The class or function of a registered name, None if there is none."""
    # A class may build an argument from any registry, whatever the argument is called.
    usual = (registry.MODELS, registry.TRANSFORMS, registry.DATASETS, registry.METRICS)
    for registered in (kinds, *usual):
        try:
            with registered.switch_scope_and_registry(scope) as scoped:
                if (component := scoped.get(name)) is not None:
                    return component
        except (KeyError, ImportError):  # a scope that is no package
            pass
    return None


def _registered_names(kinds: Registry, scope: str, with_scope: bool) -> set[str]:
    """Names that a config of some scope may use."""
    names: set[str] = set()
    registries = [kinds]
    for child in registries:
        registries += child.children.values()
        if with_scope:
            names.update(f'{child.scope}.{name}' for name in child.module_dict)
        elif child.scope in (scope, kinds.scope):
            names.update(child.module_dict)
    return names


def wrong_arguments(config: Mapping, path: str, accepted: Arguments, title: str) -> Iterator[str]:
    """What is wrong with arguments: names that are not accepted, values of another kind.

    Args:
        config (Mapping): Value by name.
        path (str): Place in the config.
        accepted (dict): As of :func:`accepted_arguments`.
        title (str): What has these arguments.

    Yields:
        str: A sentence that names the place.
    """
    for name, value in config.items():
        if name not in accepted:
            yield f'{path}.{name}: {title} has no argument {name}{nearest(name, accepted)}'
            continue
        hint, module = accepted[name]
        if module.partition('.')[0] in _ANNOTATED and not fits(value, hint):
            yield misfit(f'{path}.{name}', hint, value)


def accepted_arguments(component: typing.Any) -> Arguments | None:
    """Arguments of a class or function, followed through ``**kwargs`` to the parents.

    Args:
        component (Callable): What a config names.

    Returns:
        dict[str, tuple[object, str]] | None: Annotation and module by name; None where any
        argument may be accepted.
    """
    if not inspect.isclass(component):
        names, variable = arguments_of(component)
        return None if variable else names
    accepted: Arguments = {}
    if component.__new__ is not object.__new__:  # it may make something else
        return None
    for owner in component.__mro__:
        init = vars(owner).get('__init__')
        if owner is object or init is None:
            continue
        try:
            names, variable = arguments_of(init)
        except (TypeError, ValueError):  # built in
            return None
        accepted = {**names, **accepted}
        # MMEngine hands the hook's to Runner.save_checkpoint, which fails after thousands of
        # iterations.
        if not variable or owner is CheckpointHook:
            break
        try:
            source = inspect.getsource(inspect.unwrap(init))
        except OSError:
            return None
        # What is only read there is still the parent's to accept.
        uses = len(re.findall(rf'\b{variable}\b(?!\.get\()', source)) - 1
        if not uses:  # what nothing reads is not accepted
            break
        if uses > 1 or not re.search(rf'super\(.*?\)\.__init__\([^;]*\*\*{variable}', source):
            return None
    accepted.pop('self', None)
    return accepted


def arguments_of(function: typing.Any) -> tuple[Arguments, str]:
    """Names with annotations and module, and the name of ``**kwargs``, empty if there are none."""
    names: Arguments = {}
    variable = ''
    code = inspect.unwrap(function)
    code = code.__init__ if inspect.isclass(code) else code
    for parameter in inspect.signature(function).parameters.values():
        hint = typing.Any if parameter.annotation is parameter.empty else parameter.annotation
        try:
            if isinstance(hint, str):
                hint = eval(hint, getattr(code, '__globals__', {}))
            if parameter.default is None and hint is not typing.Any:
                hint = hint | None  # which MMEngine and PyTorch do not always say
        except Exception:  # what is imported for type checkers alone, or is no type
            hint = typing.Any
        if parameter.kind is parameter.VAR_KEYWORD:
            variable = parameter.name
        elif parameter.kind is not parameter.VAR_POSITIONAL:
            names[parameter.name] = (hint, getattr(code, '__module__', ''))
    return names, variable


def fits(value: object, annotation: typing.Any) -> bool:
    """Whether a value of a config is of the kind that an annotation asks for.

    Numbers are not booleans, a whole number is a number, lists stand for tuples, and a dictionary
    for what is built of it. What is not understood fits.

    Args:
        value (object): From a config.
        annotation (object): Of an argument.
    """
    kind, args = typing.get_origin(annotation) or annotation, typing.get_args(annotation)
    if kind is typing.Literal:
        return value in args
    if kind in (typing.Union, types.UnionType):
        return any(fits(value, option) for option in args)
    if annotation is typing.Any or (annotation is not None and not inspect.isclass(kind)):
        return True
    if annotation is None:
        return value is None
    if kind in (int, float):
        number = Integral if kind is int else Real
        return isinstance(value, number) and not isinstance(value, bool) and math.isfinite(value)
    if issubclass(kind, (list, tuple)) or kind is Sequence:
        if not isinstance(value, (list, tuple)):
            return False
        kinds = [item for item in args if item is not Ellipsis]
        if kind is tuple and len(kinds) == len(args) > 1:
            return len(value) == len(args)
        return len(kinds) != 1 or all(fits(item, kinds[0]) for item in value)
    if kind in (bool, str, types.NoneType):
        return isinstance(value, kind)
    return isinstance(value, (kind, Mapping)) or kind.__module__ == 'pathlib'


def misfit(place: str, annotation: typing.Any, value: object) -> str:
    """What a value must be that does not fit an annotation."""
    is_class = inspect.isclass(annotation) and not typing.get_args(annotation)
    expected = annotation.__name__ if is_class else str(annotation)
    if typing.get_origin(annotation) is typing.Literal:
        expected = f'one of {", ".join(map(str, typing.get_args(annotation)))}'
    expected = re.sub(r'(\w+\.)*(\w+)', lambda match: _WORDS.get(match[2], match[2]), expected)
    return f'{place} must be {expected}, got {cut(repr(value), 80)}'
