"""Train, test, translate, export and release from Python or the command line."""

from sesim_mmagic.apis.checkpoints import read_weights
from sesim_mmagic.apis.evaluate import evaluate_folder
from sesim_mmagic.apis.inference.inferencer import SeSimInferencer
from sesim_mmagic.apis.model_zoo import list_models, resolve_model
from sesim_mmagic.apis.translate import (
    encode_style,
    init_translator,
    translate,
    translate_into_styles,
)

__all__ = [
    'SeSimInferencer',
    'encode_style',
    'evaluate_folder',
    'init_translator',
    'list_models',
    'read_weights',
    'resolve_model',
    'translate',
    'translate_into_styles',
]
