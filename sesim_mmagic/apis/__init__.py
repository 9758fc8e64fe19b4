"""Train, test and translate from Python or the command line."""

from sesim_mmagic.apis.evaluate import evaluate_folder
from sesim_mmagic.apis.inferencer import SeSimInferencer
from sesim_mmagic.apis.inputs import list_pictures
from sesim_mmagic.apis.translate import (
    encode_style,
    init_translator,
    read_weights,
    translate,
    translate_into_styles,
)

__all__ = [
    'SeSimInferencer',
    'encode_style',
    'evaluate_folder',
    'init_translator',
    'list_pictures',
    'read_weights',
    'translate',
    'translate_into_styles',
]
