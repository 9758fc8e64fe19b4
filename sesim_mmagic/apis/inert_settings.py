"""What a model may be built from that a stranger's checkpoint describes: a short list.

MMEngine imports what a ``type`` names and calls it, fetches what ``pretrained`` names, and some
components open files. So a config that comes with weights is compared with the tables below before
any of it is used: each component is one of those listed, each of its arguments is listed, and each
value is a number, a flag or a string of a kind that is known to do nothing.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

#: What a value may be: '' for one that may be, else what is wrong, to follow a setting's name.
Kind = Callable[[Any], str]


def shown(value: Any) -> str:
    """A value on one short line."""
    text = repr(value)
    return text if len(text) <= 60 else f'{text[:57]}...'


def _kind(words: str, fits: Callable[[Any], bool]) -> Kind:
    return lambda value: '' if fits(value) else f' must be {words}, not {shown(value)}'


def whole(least: int, most: int) -> Kind:
    """A whole number."""
    return _kind(
        f'a whole number from {least} to {most}',
        lambda value: type(value) is int and least <= value <= most,
    )


def number(least: float, most: float) -> Kind:
    """A number; infinity and NaN are none."""
    return _kind(
        f'a number from {least:g} to {most:g}',
        lambda value: type(value) in (int, float) and least <= value <= most,
    )


def one_of(*names: str) -> Kind:
    """One of some strings."""
    return _kind(f'one of {", ".join(names)}', lambda value: type(value) is str and value in names)


def optional(kind: Kind) -> Kind:
    """None, or a value of a kind."""
    return lambda value: '' if value is None else kind(value)


def several(kind: Kind, most: int = 10) -> Kind:
    """A value of a kind, or a list of such."""

    def problem(value: Any) -> str:
        values = value if type(value) in (list, tuple) else [value]
        if not 1 <= len(values) <= most:
            return f' must have 1 to {most} entries, not {len(values)}'
        return next(filter(None, map(kind, values)), '')

    return problem


def settings(**kinds: Kind) -> Kind:
    """A dictionary with some of these keys and no others."""

    def problem(value: Any) -> str:
        if not isinstance(value, dict):
            return f' must be a dictionary, not {shown(value)}'
        for key, item in value.items():
            if key not in kinds:
                return f' must not have {shown(key)}, it can have {", ".join(kinds)}'
            if wrong := kinds[key](item):
                return f'.{key}{wrong}'
        return ''

    return problem


def component(table: Mapping[str, Mapping[str, Kind]]) -> Kind:
    """A dictionary whose ``type`` is in a table, with some of the arguments that it has there."""

    def problem(value: Any) -> str:
        if not isinstance(value, dict):
            return f' must be a dictionary, not {shown(value)}'
        name = _full_name(value.get('type'), table)
        if name is None:
            return f'.type must be one of {", ".join(table)}, not {shown(value.get("type"))}'
        return settings(**table[name])({k: v for k, v in value.items() if k != 'type'})

    return problem


def _full_name(name: Any, table: Mapping[str, Any]) -> str | None:
    """Name of a component with its package; None if it is not in a table."""
    return next((full for full in table if name in (full, full.partition('.')[2])), None)


FLAG = _kind('True or False', lambda value: type(value) is bool)
CHANNELS = whole(1, 8192)
BLOCKS = whole(0, 64)
HALVINGS = whole(0, 12)
COUNT = whole(0, 2**31)
WEIGHT = number(-1e9, 1e9)
SHARE = number(0, 1)
# Names become those of modules, of inputs and of files.
NAME = _kind(
    'a name of letters, digits, blanks, - and _',
    lambda value: type(value) is str and bool(re.fullmatch(r'[\w-][\w -]{0,99}', value)),
)

INITIALISATION = several(
    settings(
        type=one_of('normal', 'xavier', 'kaiming', 'orthogonal', 'Normal', 'Xavier', 'Kaiming'),
        layer=several(one_of('Conv2d', 'ConvTranspose2d', 'Linear')),
        gain=WEIGHT,
        mean=WEIGHT,
        std=WEIGHT,
        bias=WEIGHT,
        a=WEIGHT,
        mode=one_of('fan_in', 'fan_out'),
        nonlinearity=one_of('relu', 'leaky_relu'),
        distribution=one_of('normal', 'uniform'),
    )
)
NORM = settings(
    type=one_of('IN', 'IN2d', 'BN', 'BN2d', 'SyncBN'),
    requires_grad=FLAG,
    eps=SHARE,
    momentum=SHARE,
    affine=FLAG,
    track_running_stats=FLAG,
)
_IN_AND_OUT = dict(
    in_channels=CHANNELS,
    out_channels=CHANNELS,
    base_channels=CHANNELS,
    init_cfg=optional(INITIALISATION),
)

GENERATORS = {
    'sesim_mmagic.ResNetBlurGenerator': dict(
        _IN_AND_OUT, num_blocks=BLOCKS, num_downsamplings=HALVINGS, dropout=SHARE
    ),
    'sesim_mmagic.StyleGAN2Generator': dict(
        _IN_AND_OUT, num_blocks=BLOCKS, num_downsamplings=HALVINGS, noise=FLAG, tanh=FLAG
    ),
    'sesim_mmagic.MUNITGenerator': dict(
        in_channels=CHANNELS,
        base_channels=CHANNELS,
        style_channels=CHANNELS,
        num_downsamplings=HALVINGS,
        num_blocks=BLOCKS,
        mlp_channels=CHANNELS,
        style_downsamplings=HALVINGS,
        init_cfg=optional(INITIALISATION),
    ),
    'mmagic.ResnetGenerator': dict(
        _IN_AND_OUT,
        norm_cfg=NORM,
        use_dropout=FLAG,
        num_blocks=BLOCKS,
        padding_mode=one_of('reflect', 'replicate', 'zeros'),
    ),
    'mmagic.UnetGenerator': dict(_IN_AND_OUT, num_down=HALVINGS, norm_cfg=NORM, use_dropout=FLAG),
}
PREPROCESSORS = {
    'mmagic.DataPreprocessor': dict(
        mean=optional(several(number(-1e6, 1e6))),
        std=optional(several(number(1e-6, 1e6))),
        pad_size_divisor=whole(1, 1024),
        pad_value=WEIGHT,
        pad_mode=one_of('constant', 'reflect', 'replicate', 'circular'),
        output_channel_order=optional(one_of('RGB', 'BGR')),
        data_keys=optional(several(NAME)),
        stack_data_sample=FLAG,
    ),
}
AVERAGE = optional(settings(momentum=SHARE, interval=COUNT, update_buffers=FLAG))

_ALL = dict(generator=component(GENERATORS), data_preprocessor=component(PREPROCESSORS))
_AVERAGED = dict(ema=AVERAGE, channels_last=FLAG)
_OWN = dict(_ALL, **_AVERAGED, source_domain=NAME, target_domain=NAME, size_divisor=whole(1, 1024))
_HOST = dict(
    _ALL,
    default_domain=NAME,
    reachable_domains=several(NAME),
    related_domains=several(NAME),
    discriminator_steps=COUNT,
    disc_init_steps=COUNT,
    real_img_key=NAME,
)
TRANSLATORS = {
    'sesim_mmagic.OneSidedTranslator': dict(
        _OWN,
        identity_weight=WEIGHT,
        flip_equivariance=FLAG,
        gradient_penalty_weight=WEIGHT,
        r1_weight=WEIGHT,
        buffer_size=COUNT,
    ),
    'sesim_mmagic.MultiModalTranslator': dict(
        _OWN,
        two_sided=FLAG,
        image_weight=WEIGHT,
        style_weight=WEIGHT,
        content_weight=WEIGHT,
        cycle_weight=WEIGHT,
        num_styles=whole(1, 10_000),
        seed=COUNT,
        shared_styles=FLAG,
        decode_batch=whole(1, 4096),
    ),
    'sesim_mmagic.SeSimCycleGAN': dict(_HOST, **_AVERAGED, buffer_size=COUNT),
    'sesim_mmagic.SeSimPix2Pix': dict(_HOST, **_AVERAGED),
    'mmagic.CycleGAN': dict(_HOST, buffer_size=COUNT),
    'mmagic.Pix2Pix': _HOST,
}

_AS_TRANSLATOR = {
    f'{package}{name}': f'sesim_mmagic.SeSim{name}'
    for package in ('', 'mmagic.')
    for name in ('CycleGAN', 'Pix2Pix')
}

# What inference has no use for, at the top of a model's settings: it is left out and never built,
# whatever it is. A loss of one's own need not be known, no weights of a feature network are needed.
TRAINING_ONLY = dict(
    discriminator=None,
    gan_loss=None,
    structure_loss=None,
    style_loss=None,
    perceptual_loss=None,
    structure_identity_weight=0.0,
    loss_config=None,
    compile=False,
)


def check_inert(model: Any) -> None:
    """Raise an error unless a model's settings, apart from ``TRAINING_ONLY``, are in the tables.

    Args:
        model (Any): What a config has under ``model``.

    Raises:
        ValueError: They are not; the message names the first setting that is not, and what it may
            be.
    """
    left = model
    if isinstance(model, dict):
        left = {key: value for key, value in model.items() if key not in TRAINING_ONLY}
    if problem := component(TRANSLATORS)(left):
        raise ValueError(f'model{problem}')


def for_inference(model: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of a model without what inference has no use for.

    MMagic's own models become the translators here that have the same networks.
    """
    settings = {key: TRAINING_ONLY.get(key, value) for key, value in model.items()}
    return dict(settings, type=_AS_TRANSLATOR.get(model['type'], model['type']))


def with_full_names(model: Mapping[str, Any]) -> dict[str, Any]:
    """Settings that passed :func:`check_inert`, with the packages of their components.

    MMEngine imports a module of the name of a component that the default scope does not have.
    """
    found = dict(model)
    found['type'] = _full_name(model['type'], TRANSLATORS)
    for key, table in (('generator', GENERATORS), ('data_preprocessor', PREPROCESSORS)):
        if key in model:
            found[key] = dict(model[key], type=_full_name(model[key]['type'], table))
    return found
