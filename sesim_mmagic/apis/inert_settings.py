"""What a model may be built from that a stranger's checkpoint describes: a short list.

MMEngine imports what a ``type`` names and calls it, fetches what ``pretrained`` names, and some
components open files. So a config that comes with weights is compared with the tables below before
any of it is used, at every depth: a component is one of a few, an argument is one of those listed,
and a value is a number in bounds, a flag, None, a name without dots and slashes where a name is
only a name, or one of some words where MMEngine would look the word up.
"""

import re
from collections.abc import Mapping
from typing import Any

_TRANSLATORS = (
    'sesim_mmagic.OneSidedTranslator',
    'sesim_mmagic.MultiModalTranslator',
    'sesim_mmagic.SeSimCycleGAN',
    'sesim_mmagic.SeSimPix2Pix',
)
_GENERATORS = (
    'sesim_mmagic.ResNetBlurGenerator',
    'sesim_mmagic.StyleGAN2Generator',
    'sesim_mmagic.MUNITGenerator',
    'mmagic.ResnetGenerator',
    'mmagic.UnetGenerator',
)
_PREPROCESSOR = 'mmagic.DataPreprocessor'
#: What each type is built as. MMEngine imports a module of the name of a component that the default
#: scope does not have; MMagic's own models become the translators that have the same networks.
FULL_NAMES = {
    name: full
    for full in (*_TRANSLATORS, *_GENERATORS, _PREPROCESSOR)
    for name in (full, full.partition('.')[2])
} | {
    f'{package}{name}': f'sesim_mmagic.SeSim{name}'
    for package in ('', 'mmagic.')
    for name in ('CycleGAN', 'Pix2Pix')
}

# A kind of value is bool, a range of whole numbers, a (least, most) of numbers, a set of words, a
# pattern of names, a dictionary of kinds, or a list of one kind: a value of it, or up to 10.
_CHANNELS, _BLOCKS, _HALVINGS, _COUNT = range(1, 8193), range(65), range(13), range(2**31)
_WEIGHT, _SHARE = (-1e9, 1e9), (0, 1)
_NAME = re.compile(r'[\w-][\w -]{0,99}')
_INITIALIZATION = dict(
    type={'normal', 'xavier', 'kaiming', 'orthogonal', 'Normal', 'Xavier', 'Kaiming'},
    layer=[{'Conv2d', 'ConvTranspose2d', 'Linear'}],
    mode={'fan_in', 'fan_out'},
    nonlinearity={'relu', 'leaky_relu'},
    distribution={'normal', 'uniform'},
    **dict.fromkeys(('gain', 'mean', 'std', 'bias', 'a'), _WEIGHT),
)
_NORM = dict(
    type={'IN', 'IN2d', 'BN', 'BN2d', 'SyncBN'},
    **dict.fromkeys(('requires_grad', 'affine', 'track_running_stats'), bool),
    **dict.fromkeys(('eps', 'momentum'), _SHARE),
)
GENERATOR = dict(
    type={name for name, full in FULL_NAMES.items() if full in _GENERATORS},
    **dict.fromkeys(('in_channels', 'out_channels', 'base_channels'), _CHANNELS),
    **dict.fromkeys(('style_channels', 'mlp_channels'), _CHANNELS),
    **dict.fromkeys(('num_downsamplings', 'style_downsamplings', 'num_down'), _HALVINGS),
    **dict.fromkeys(('noise', 'tanh', 'use_dropout'), bool),
    num_blocks=_BLOCKS,
    dropout=_SHARE,
    padding_mode={'reflect', 'replicate', 'zeros'},
    norm_cfg=_NORM,
    init_cfg=[_INITIALIZATION],
)
PREPROCESSOR = dict(
    type={name for name, full in FULL_NAMES.items() if full == _PREPROCESSOR},
    mean=[(-1e6, 1e6)],
    std=[(1e-6, 1e6)],
    pad_size_divisor=range(1, 1025),
    pad_value=_WEIGHT,
    pad_mode={'constant', 'reflect', 'replicate', 'circular'},
    output_channel_order={'RGB', 'BGR'},
    data_keys=[_NAME],
    stack_data_sample=bool,
)
TRANSLATOR = dict(
    type={name for name, full in FULL_NAMES.items() if full in _TRANSLATORS},
    generator=GENERATOR,
    data_preprocessor=PREPROCESSOR,
    ema=dict(momentum=_SHARE, interval=_COUNT, update_buffers=bool),
    **dict.fromkeys(('source_domain', 'target_domain', 'default_domain', 'real_img_key'), _NAME),
    **dict.fromkeys(('reachable_domains', 'related_domains'), [_NAME]),
    **dict.fromkeys(('channels_last', 'flip_equivariance', 'two_sided', 'shared_styles'), bool),
    **dict.fromkeys(('buffer_size', 'seed', 'discriminator_steps', 'disc_init_steps'), _COUNT),
    **dict.fromkeys(('identity_weight', 'gradient_penalty_weight', 'r1_weight'), _WEIGHT),
    **dict.fromkeys(('image_weight', 'style_weight', 'content_weight', 'cycle_weight'), _WEIGHT),
    size_divisor=range(1, 1025),
    num_styles=range(1, 10_001),
    decode_batch=range(1, 4097),
)

# What inference has no use for, at the top of a model's settings: it is left out and never built,
# whatever it is. A loss of one's own need not be known, no weights of a feature network are needed.
TRAINING_ONLY = dict(
    discriminator=None,
    gan_loss=None,
    augmentation=None,
    more_discriminators=None,
    structure_loss=None,
    more_losses=None,
    structure_identity_weight=0.0,
    loss_config=None,
    compile=False,
    with_cp=False,
)


def check_inert(model: Any) -> None:
    """Raise an error unless a model's settings, apart from ``TRAINING_ONLY``, are in the tables.

    Args:
        model (Any): What a config has under ``model``.

    Raises:
        ValueError: They are not; the message names the first setting that is not, and what it may
            be.
    """
    if isinstance(model, dict):
        model = {key: value for key, value in model.items() if key not in TRAINING_ONLY}
    if problem := _problem_of_settings(model, TRANSLATOR):
        raise ValueError(f'model{problem}')


def for_inference(model: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of a model without what inference has no use for, and with full names of types."""
    settings = {key: TRAINING_ONLY.get(key, value) for key, value in model.items()}
    for key in ('generator', 'data_preprocessor'):
        if isinstance(settings.get(key), dict) and 'type' in settings[key]:
            settings[key] = _with_full_name(settings[key])
    return _with_full_name(settings)


def shown(value: Any) -> str:
    """A value on one short line."""
    text = repr(value)
    return text if len(text) <= 60 else f'{text[:57]}...'


def _with_full_name(settings: Mapping[str, Any]) -> dict[str, Any]:
    return dict(settings, type=FULL_NAMES.get(settings['type'], settings['type']))


def _problem(value: Any, kind: Any) -> str:
    """What keeps a value from being of a kind, to follow a setting's name; '' if it is of it."""
    if value is None:
        return ''
    if isinstance(kind, list):
        values = value if type(value) in (list, tuple) else [value]
        if not 1 <= len(values) <= 10:
            return f' must have 1 to 10 entries, not {len(values)}'
        return next(filter(None, (_problem(entry, kind[0]) for entry in values)), '')
    if isinstance(kind, dict):
        return _problem_of_settings(value, kind)
    if isinstance(kind, range):
        words = f'a whole number from {kind[0]} to {kind[-1]}'
        fits = type(value) is int and value in kind
    elif isinstance(kind, tuple):
        words = f'a number from {kind[0]:g} to {kind[1]:g}'
        fits = type(value) in (int, float) and kind[0] <= value <= kind[1]
    elif isinstance(kind, set):
        words = f'one of {", ".join(sorted(kind))}'
        fits = type(value) is str and value in kind
    elif isinstance(kind, re.Pattern):
        words = 'a name of letters, digits, blanks, - and _'
        fits = type(value) is str and kind.fullmatch(value) is not None
    else:
        words, fits = 'True or False', type(value) is bool
    return '' if fits else f' must be {words}, not {shown(value)}'


def _problem_of_settings(value: Any, kinds: Mapping[str, Any]) -> str:
    if not isinstance(value, dict):
        return f' must be a dictionary, not {shown(value)}'
    if 'type' in kinds and value.get('type') is None:
        return '.type is missing'
    for key, item in value.items():
        if key not in kinds:
            return f' must not have {shown(key)}, it can have {", ".join(kinds)}'
        if problem := _problem(item, kinds[key]):
            return f'.{key}{problem}'
    return ''
