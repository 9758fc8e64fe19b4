"""Generators as ONNX, TorchScript and torch.export files."""
