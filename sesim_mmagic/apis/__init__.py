"""Train, test and translate from Python or the command line."""

from sesim_mmagic.apis.evaluate import evaluate_folder
from sesim_mmagic.apis.translate import init_translator, list_pictures, read_weights, translate

__all__ = ['evaluate_folder', 'init_translator', 'list_pictures', 'read_weights', 'translate']
