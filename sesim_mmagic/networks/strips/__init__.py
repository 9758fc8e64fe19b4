"""Pictures of any size through a network, strip by strip, as if it had seen them whole."""

from .layers import Residual, register_layer
from .run import StyledDecoder, can_run_in_strips, run_in_strips

__all__ = ['Residual', 'StyledDecoder', 'can_run_in_strips', 'register_layer', 'run_in_strips']
