"""Generators as ONNX, TorchScript and torch.export files."""

#: Names of the formats.
FORMATS = ('onnx', 'torchscript', 'pt2')
