"""Train, test and translate from Python or the command line."""

from sesim_mmagic.apis.translate import init_translator, list_pictures, read_weights, translate

__all__ = ['init_translator', 'list_pictures', 'read_weights', 'translate']
