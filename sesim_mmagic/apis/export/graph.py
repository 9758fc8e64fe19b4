"""What leaves PyTorch when a generator is exported: its graph, for pictures of any size."""

import keyword
from copy import deepcopy

import torch
from torch import Tensor, nn

from sesim_mmagic.networks.equalized_layers import UpsampleConv


# Rows and columns are picked by number: that a slice or a reflection fits cannot be proved for
# unknown sides. Scripted where it is traced: a trace would keep the example's device for ever.
@torch.jit.script_if_tracing
def _grow(image: Tensor, divisor: int) -> Tensor:
    """Reflect the bottom and the right border until both sides are multiples of ``divisor``.

    For sides larger than ``divisor`` this is what ``sesim_mmagic.translators.padding`` does.
    """
    for dim in (2, 3):
        side = image.size(dim)
        numbers = torch.arange((side + divisor - 1) // divisor * divisor, device=image.device)
        image = image.index_select(dim, side - 1 - (side - 1 - numbers).abs())
    return image


@torch.jit.script_if_tracing
def _crop(translation: Tensor, image: Tensor) -> Tensor:
    """The top left part of a translation, of the image's height and width."""
    for dim in (2, 3):
        numbers = torch.arange(image.size(dim), device=image.device)
        translation = translation.index_select(dim, numbers)
    return translation


class TranslationGraph(nn.Module):
    """A generator with padding and cropping around it: (1, 3, H, W) both ways, in [-1, 1].

    Args:
        generator (nn.Module): Takes images whose sides are multiples of ``divisor``.
        divisor (int): H and W are to be larger than it.
    """

    inputs = ('image',)

    def __init__(self, generator: nn.Module, divisor: int) -> None:
        super().__init__()
        self.generator = generator
        self.divisor = divisor

    def forward(self, image: Tensor) -> Tensor:
        return _crop(self.generator(_grow(image, self.divisor)), image)


class StyledTranslationGraph(nn.Module):
    """A content encoder and a decoder: image (1, 3, H, W) and style (1, S) to (1, 3, H, W).

    Args:
        encoder (nn.Module): Auto-encoder whose ``encode_content`` reads the source.
        decoder (nn.Module): Auto-encoder whose ``decode`` takes content and style.
        divisor (int): As in :class:`TranslationGraph`.
    """

    inputs = ('image', 'style')

    def __init__(self, encoder: nn.Module, decoder: nn.Module, divisor: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder
        self.divisor = divisor

    def forward(self, image: Tensor, style: Tensor) -> Tensor:
        content = self.encoder.encode_content(_grow(image, self.divisor))
        return _crop(self.decoder.decode(content, style), image)


def build_graph(model: nn.Module, target: str) -> TranslationGraph | StyledTranslationGraph:
    """Copy what translates into a domain out of a model, the moving average where there is one.

    Batch norms of MMagic's models take the statistics of the picture, in the graph too.

    Args:
        model (BaseTranslationModel): Result of ``init_translator``.
        target (str): Domain to translate into.

    Returns:
        TranslationGraph | StyledTranslationGraph: Float32, on the CPU, without gradients.

    Raises:
        ValueError: If the generator does not translate images into images of their size.
    """
    from sesim_mmagic.translators.mmagic_models import StructureLossMixin  # imports MMagic

    generator = model.inference_generators[target]
    if model.style_channels:
        encoder = model.content_encoder(target)
        graph = StyledTranslationGraph(encoder, generator, model.size_divisor)
    else:
        graph = TranslationGraph(generator, model.size_divisor)
    graph = deepcopy(graph).cpu().float().eval().requires_grad_(False)
    graph.to(memory_format=torch.contiguous_format)
    for module in list(graph.modules()):
        _rename_keywords(module)
    if isinstance(model, StructureLossMixin):
        _use_statistics_of_the_picture(graph)
    return graph


@torch.no_grad()
def drop_unused(graph: nn.Module, inputs: tuple[Tensor, ...]) -> None:
    """Leave out what a translation does not call: the style encoder, the source's decoder.

    Args:
        graph (nn.Module): Changed in place.
        inputs (tuple[Tensor, ...]): Example of its inputs.
    """
    called = set()
    modules = list(graph.modules())
    hooks = [m.register_forward_hook(lambda module, *_: called.add(module)) for m in modules]
    graph(*inputs)
    for hook in hooks:
        hook.remove()
    for parent in modules:
        for name, child in list(parent.named_children()):
            if called.isdisjoint(child.modules()):
                delattr(parent, name)


@torch.no_grad()
def fix_noise(graph: nn.Module, inputs: tuple[Tensor, ...]) -> None:
    """Make the noise of StyleGAN2's generator, which PyTorch draws for a size, part of a graph.

    Args:
        graph (nn.Module): Changed in place; it then takes inputs of that size alone.
        inputs (tuple[Tensor, ...]): Inputs of the size.
    """

    def keep(layer: UpsampleConv, args: tuple, output: Tensor) -> None:
        layer.register_buffer('fixed_noise', layer.draw_noise(output))
        layer.draw_noise = lambda features: layer.fixed_noise

    hooks = [layer.register_forward_hook(keep) for layer in noisy_layers(graph)]
    graph(*inputs)
    for hook in hooks:
        hook.remove()


def noisy_layers(graph: nn.Module) -> list[UpsampleConv]:
    """Layers whose output depends on noise."""
    return [
        module
        for module in graph.modules()
        if isinstance(module, UpsampleConv) and module.noise_weight is not None
    ]


def _rename_keywords(module: nn.Module) -> None:
    """TorchScript writes modules as Python, and mmcv calls an instance norm ``in``."""
    for name in [name for name in module._modules if keyword.iskeyword(name)]:
        module._modules[f'{name}_'] = module._modules.pop(name)
        if getattr(module, 'norm_name', None) == name:
            module.norm_name = f'{name}_'


def _use_statistics_of_the_picture(graph: nn.Module) -> None:
    for module in graph.modules():
        if isinstance(module, nn.modules.batchnorm._NormBase):
            module.track_running_stats = False
            module.running_mean = module.running_var = module.num_batches_tracked = None
