"""Translating files, folders, videos and arrays, and all that has to go right on the way."""

#: Names of types in PyTorch that a model can compute in.
PRECISIONS = ('float32', 'bfloat16', 'float16')
#: A frame of full HD. The paper's generator takes about 3.5 GB for so many pixels.
STRIP_PIXELS = 2**21
