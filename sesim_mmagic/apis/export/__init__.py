"""Generators as ONNX and torch.export files."""

#: Names of the formats.
FORMATS = ('onnx', 'pt2')
