"""What an exported file says about itself."""

from importlib.metadata import version
from pathlib import Path

from sesim_mmagic.apis.export.formats import OUTPUT
from sesim_mmagic.utils.downloads import sha256_of
from sesim_mmagic.version import __version__


def describe(model, graph, target, size, file_format, opset, packages, checkpoint):
    """What somebody needs to know who has nothing but the exported file.

    Args:
        model (BaseTranslationModel): The model.
        graph (nn.Module): What was exported of it.
        target (str): Domain that it translates into.
        size (tuple[int, int] | None): Height and width, if they are fixed.
        file_format (str): Name of the format.
        opset (int): Version of ONNX's operators.
        packages (Sequence[str]): Packages of the format, whose versions are noted.
        checkpoint (str | Path | None): The file, whose sum is noted.

    Returns:
        dict: Strings, numbers and lists alone.
    """
    preprocessor = model.data_preprocessor
    order = (preprocessor.output_channel_order or 'BGR').upper()
    mean, std = preprocessor.mean.flatten().tolist(), preprocessor.std.flatten().tolist()
    height, width = size or ('height', 'width')
    shape = [1, 3, height, width]
    inputs = [dict(name='image', dtype='float32', shape=shape, channel_order=order)]
    if 'style' in graph.inputs:
        channels = model.style_channels
        inputs.append(dict(name='style', dtype='float32', shape=[1, channels], values='N(0, 1)'))
    output = dict(name=OUTPUT, dtype='float32', shape=shape, channel_order=order)
    return dict(
        format=file_format,
        model=type(model).__name__,
        source_domain=model.domains[target],
        target_domain=target,
        inputs=inputs,
        outputs=[output],
        value_range=[-1.0, 1.0],
        pixel_mean=mean,
        pixel_std=std,
        preprocessing=f'8-bit picture in {order}; (pixel - pixel_mean) / pixel_std; float32, NCHW.',
        postprocessing='translation * pixel_std + pixel_mean; clamp to [0, 255], round; '
        f'NCHW in {order}.',
        size_divisor=graph.divisor,
        smallest_side=graph.divisor + 1,
        fixed_size=list(size) if size else None,
        padding=f'Inside: bottom and right are reflected up to multiples of {graph.divisor}, and '
        'cropped again.',
        checkpoint=Path(checkpoint).name if checkpoint else None,
        checkpoint_sha256=_sum(checkpoint),
        opset=opset if file_format == 'onnx' else None,
        versions=versions('sesim_mmagic', 'mmagic', 'torch', *packages),
        licence='The weights are under the terms of whoever published them and of the pictures '
        'they were trained on; the code that wrote this file is under Apache-2.0.',
    )


def versions(*packages):
    """Versions of packages by name."""
    return {name: __version__ if name == 'sesim_mmagic' else version(name) for name in packages}


def _sum(checkpoint):
    return sha256_of(checkpoint) if checkpoint and Path(checkpoint).is_file() else None
