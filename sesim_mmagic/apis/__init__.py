"""Train, test and translate from Python or the command line."""

from sesim_mmagic.apis.evaluate import evaluate_folder
from sesim_mmagic.apis.translate import (
    encode_style,
    init_translator,
    list_pictures,
    read_weights,
    translate,
    translate_into_styles,
)

__all__ = [
    'encode_style',
    'evaluate_folder',
    'init_translator',
    'list_pictures',
    'read_weights',
    'translate',
    'translate_into_styles',
]
