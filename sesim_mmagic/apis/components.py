"""Components of a config before they are built: known types, known arguments, values of their kind.

MMEngine tells a misspelt argument when it calls the class, in the middle of the building and in a
traceback of hundreds of lines; here signatures are read, nothing is built.
"""

import ast
import inspect
import math
import textwrap
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from numbers import Integral, Real

from mmengine import registry
from mmengine.hooks import CheckpointHook
from mmengine.registry import Registry

from sesim_mmagic.apis.command_line import nearest

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
_PARTS = ('generator', 'discriminator', 'generators', 'discriminators', 'data_preprocessor')
_OTHERS = (registry.MODELS, registry.TRANSFORMS, registry.DATASETS, registry.METRICS)
#: Arguments that MMEngine takes out before it calls the class.
_TAKEN_OUT = {
    'type', '_scope_', '_delete_', 'priority', 'constructor', 'paramwise_cfg', 'modules',
    'convert_to_iter_based',
}  # fmt: skip


def wrong_components(config: object, path: str, kinds: Registry, scope: str) -> Iterator[str]:
    """What is wrong with a component, and with those among its arguments.

    Args:
        config (object): A dictionary with ``type``, or a list of them; anything else is skipped.
        path (str): Place in the config, such as ``model.structure_loss``.
        kinds (Registry): Where its type is registered.
        scope (str): Scope of types that name none.

    Yields:
        str: A sentence that names the place.
    """
    if isinstance(config, (list, tuple)):
        for index, item in enumerate(config):
            yield from wrong_components(item, f'{path}.{index}', kinds, scope)
    if not isinstance(config, Mapping) or 'type' not in config:
        return
    scope = config.get('_scope_', scope)
    component = config['type']
    if isinstance(component, str):
        # A class may build an argument from any registry, whatever the argument is called.
        found = (find_component(component, each, scope) for each in (kinds, *_OTHERS))
        component = next((each for each in found if each is not None), None)
        if component is None:
            known = registered_names(kinds, scope, '.' in config['type'])
            yield f'{path}: there is no {config["type"]}{nearest(config["type"], known)}'
            return
    if not callable(component):
        yield f'{path}.type must be the name of a component, got {component!r}'
        return
    yield from _wrong_arguments(component, config, path)
    built = _built_arguments(component)
    for name, value in config.items():
        # Of layers and the like, whose maker has names and arguments of its own.
        if name.endswith(('_cfg', '_config')):
            continue
        if name not in built and name not in _REGISTRIES and not name.endswith('pipeline'):
            continue
        inner = registry.TRANSFORMS if name.endswith('pipeline') else _REGISTRIES.get(name, kinds)
        if inner in (registry.METRICS, registry.HOOKS, registry.EVALUATOR):
            inner = registry.METRICS if name == 'metrics' else registry.MODELS
        yield from wrong_components(value, f'{path}.{name}', inner, scope)


def _built_arguments(component: typing.Any) -> set[str]:
    """Arguments that a component builds from the registries.

    Those are all of this package's, and of MMagic's models the usual ones.
    """
    names: set[str] = set()
    for owner in getattr(component, '__mro__', (component,)):
        code = vars(owner).get('__init__') if inspect.isclass(owner) else owner
        package = getattr(owner, '__module__', '').split('.')
        if code and package[0] == 'sesim_mmagic':
            names.update(_arguments_of(code)[0])
        elif package[:2] == ['mmagic', 'models']:
            names.update(_PARTS)
            taken = _arguments_of(code)[0] if code else ()
            names.update(name for name in taken if name.endswith('_loss'))
    return names


def find_component(name: str, kinds: Registry, scope: str) -> object:
    """The class or function of a registered name, None if there is none."""
    try:
        with kinds.switch_scope_and_registry(scope) as scoped:
            return scoped.get(name)
    except (KeyError, ImportError):  # a scope that is no package
        return None


def registered_names(kinds: Registry, scope: str, with_scope: bool) -> set[str]:
    """Names that a config of some scope may use."""
    names = set()
    registries = [kinds]
    for child in registries:
        registries += child.children.values()
        if with_scope:
            names.update(f'{child.scope}.{name}' for name in child.module_dict)
        elif child.scope in (scope, kinds.scope):
            names.update(child.module_dict)
    return names


def _wrong_arguments(component: typing.Any, config: Mapping, path: str) -> Iterator[str]:
    accepted = accepted_arguments(component)
    if accepted is None:
        return
    title = getattr(component, '__name__', str(component))
    own = getattr(component, '__module__', '').startswith('sesim_mmagic.')
    for name, value in config.items():
        if name in _TAKEN_OUT:
            continue
        if name not in accepted:
            yield f'{path}.{name}: {title} has no argument {name}{nearest(name, accepted)}'
        elif own and not fits(value, accepted[name]):
            expected = getattr(accepted[name], '__name__', str(accepted[name]))
            yield f'{path}.{name} must be {_in_words(expected)}, got {_shortly(value)}'


def accepted_arguments(component: typing.Any) -> dict[str, object] | None:
    """Arguments of a class or function with their annotations, followed through ``**kwargs``.

    Args:
        component (Callable): What a config names.

    Returns:
        dict[str, object] | None: None where any argument may be accepted.
    """
    if not inspect.isclass(component):
        names, variable = _arguments_of(component)
        return None if variable else names
    accepted: dict[str, object] = {}
    if component.__new__ is not object.__new__:  # it may make something else
        return None
    for owner in component.__mro__:
        init = vars(owner).get('__init__')
        if owner is object or init is None:
            continue
        try:
            names, variable = _arguments_of(init)
        except (TypeError, ValueError):  # built in
            return None
        accepted = {**names, **accepted}
        if not variable:
            break
        taken, rest = _use_of_kwargs(init, variable)
        accepted = {**dict.fromkeys(taken, inspect.Parameter.empty), **accepted}
        # MMEngine hands them to Runner.save_checkpoint, which fails after thousands of iterations.
        if rest == 'nowhere' or owner is CheckpointHook:
            break
        if rest == 'elsewhere':
            return None
    accepted.pop('self', None)
    return accepted


def _arguments_of(function: typing.Any) -> tuple[dict[str, object], str]:
    """Names with annotations, and the name of ``**kwargs``, empty if there are none."""
    parameters = inspect.signature(function).parameters.values()
    variable = next((p.name for p in parameters if p.kind is p.VAR_KEYWORD), '')
    try:
        hints = typing.get_type_hints(inspect.unwrap(function))
    except Exception:  # annotations of other packages that cannot be looked up
        hints = {}
    empty = inspect.Parameter.empty
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    names = {p.name: hints.get(p.name, empty) for p in parameters if p.kind in kinds}
    return names, variable


def _use_of_kwargs(function: typing.Any, variable: str) -> tuple[set[str], str]:
    """Names that a function takes out of its ``**kwargs``, and where the rest goes.

    That is ``'parent'``, ``'elsewhere'`` or ``'nowhere'``: what nothing reads is not accepted.
    """
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(inspect.unwrap(function))))
    except (OSError, TypeError, SyntaxError):
        return set(), 'elsewhere'

    def uses(node: ast.AST) -> int:
        return sum(isinstance(n, ast.Name) and n.id == variable for n in ast.walk(node))

    taken, known, to_parent = set(), 0, 0
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        callee = ast.unparse(node.func)
        if callee in (f'{variable}.get', f'{variable}.pop', f'{variable}.setdefault'):
            taken.update(a.value for a in node.args[:1] if isinstance(a, ast.Constant))
            known += 1
        elif callee.startswith('super(') and callee.endswith('.__init__'):
            to_parent += sum(uses(k.value) for k in node.keywords if k.arg is None)
    if uses(tree) > known + to_parent:
        return taken, 'elsewhere'
    return taken, 'parent' if to_parent else 'nowhere'


def fits(value: object, annotation: object) -> bool:
    """Whether a value of a config is of the kind that an annotation asks for.

    Numbers are not booleans, a whole number is a number, lists stand for tuples. What is not
    understood fits.

    Args:
        value (object): From a config.
        annotation (object): Of an argument.
    """
    origin, args = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (typing.Union, types.UnionType):
        return any(fits(value, kind) for kind in args)
    if annotation is type(None) or annotation is None:
        return value is None
    if annotation is bool:
        return isinstance(value, bool)
    if annotation in (int, float):
        kind = Integral if annotation is int else Real
        return isinstance(value, kind) and not isinstance(value, bool) and math.isfinite(value)
    if annotation is str:
        return isinstance(value, str)
    if annotation is dict or origin is dict:
        return isinstance(value, Mapping)
    if annotation in (list, tuple) or origin in (list, tuple, Sequence):
        if not isinstance(value, (list, tuple)):
            return False
        kinds = [kind for kind in args if kind is not Ellipsis]
        return len(kinds) != 1 or all(fits(item, kinds[0]) for item in value)
    return True


_WORDS = {
    'bool': 'True or False', 'int': 'a whole number', 'float': 'a finite number', 'str': 'a text',
    'dict': 'a dictionary',
}  # fmt: skip


def _in_words(expected: str) -> str:
    return _WORDS.get(expected, expected.replace('collections.abc.', ''))


def _shortly(value: object) -> str:
    text = repr(value)
    return text if len(text) < 80 else f'{text[:80]} ...'
