"""A training step of this package, and what is measured of a step in a process of its own."""

import warnings
from typing import Any

import torch
from measuring import forget_peak, peak_mb
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.benchmark import Timer, timer
from torch.utils.flop_counter import flop_registry


class OurStep:
    """A model and its optimizers as a config describes them, on random pictures.

    Args:
        spec (dict): ``cfg`` (the config), ``precision``, ``channels_last``, ``compile``,
            ``size``, ``batch`` and ``device``.
    """

    def __init__(self, spec: dict) -> None:
        from mmengine.optim import build_optim_wrapper
        from mmengine.registry import init_default_scope

        from sesim_mmagic.apis.launch import enable_amp
        from sesim_mmagic.engine.cpu import keep_freed_memory
        from sesim_mmagic.registry import MODELS

        self.spec, self.steps, cfg = spec, 0, spec['cfg'].copy()
        if spec['device'] == 'cpu':
            keep_freed_memory()  # as training does
        if spec['precision'] == 'amp':
            enable_amp(cfg)
        cfg.model.update({name: True for name in ('channels_last', 'compile') if spec[name]})
        loss = cfg.model.get('structure_loss')
        if loss:
            net = {'type': 'sesim_mmagic.VGG16Features', **(loss.get('feature_net') or {})}
            loss.feature_net = {**net, 'pretrained': None, 'seed': 0}
        init_default_scope(cfg.get('default_scope', 'mmagic'))
        torch.backends.cudnn.benchmark = cfg.get('env_cfg', {}).get('cudnn_benchmark', False)
        domains = cfg.model.get('related_domains')
        domains = domains or [cfg.model.source_domain, cfg.model.target_domain]
        self.keys = [f'img_{domain}' for domain in domains]
        self.model = MODELS.build(cfg.model)
        self.model.init_weights()
        self.model.to(spec['device']).train()
        self.optim_wrapper = build_optim_wrapper(self.model, cfg.optim_wrapper)

    def start(self) -> None:
        """Nothing to prepare before the first step."""

    def to_count(self) -> 'OurStep':
        """The same step as the counter of multiply-adds can see through it."""
        return OurStep(dict(self.spec, precision='fp32', channels_last=False, compile=False))

    def data(self) -> dict:
        """A batch as a data loader gives it: lists of uint8 tensors and of samples."""
        from mmagic.structures import DataSample

        batch, size = self.spec['batch'], self.spec['size']
        pictures = {key: torch.randint(256, (batch, 3, size, size)).byte() for key in self.keys}
        samples = [DataSample() for _ in range(batch)]
        for number, sample in enumerate(samples):
            sample.set_tensor_data({key: images[number] for key, images in pictures.items()})
        inputs = {key: list(images) for key, images in pictures.items()}
        return dict(inputs=inputs, data_samples=samples)

    def step(self, data: dict) -> None:
        """One step of training on a batch."""
        from mmengine.logging import MessageHub

        # The models of MMagic ask for the iteration.
        MessageHub.get_current_instance().update_info('iter', self.steps)
        self.steps += 1
        self.model.train_step(data, self.optim_wrapper)

    def parts(self) -> dict[str, torch.nn.Module]:
        """Modules by what they are in the step; a weight counts for the first that holds it."""
        from sesim_mmagic.networks.frozen_features import FrozenFeatures

        networks = (m for m in self.model.modules() if isinstance(m, FrozenFeatures))
        return {'features': torch.nn.ModuleList(networks), **dict(self.model.named_children())}


class PartCounter(TorchDispatchMode):
    """Counts convolutions with the weights of each part, forward and backward, and all the rest.

    The formulas are PyTorch's. ``FlopCounterMode`` itself goes by the module that is being called:
    it cannot tell where the backward pass of a part ends, and refuses gradient penalties.
    Convolutions whose weights are computed from parameters, as StyleGAN2's, are in no part.
    """

    # Where the operator has the weight.
    ways = {
        torch.ops.aten.convolution: ('forward', 1),
        torch.ops.aten.convolution_backward: ('backward', 2),
    }

    def __init__(self, parts: dict[str, torch.nn.Module]) -> None:
        super().__init__()
        self.flops: dict[str, int] = {}
        self.owner: dict[int, str] = {}
        for part, module in parts.items():
            for weight in (*module.parameters(), *module.buffers()):
                self.owner.setdefault(weight.data_ptr(), part)

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        """Run the operator and count it."""
        out = func(*args, **(kwargs or {}))
        operator = func.overloadpacket
        if operator in flop_registry:
            way, place = self.ways.get(operator, ('', 0))
            part = self.owner.get(args[place].data_ptr()) if way else None
            name = f'{part} {way}' if part else 'other'
            flops = flop_registry[operator](*args, **(kwargs or {}), out_val=out)
            self.flops[name] = self.flops.get(name, 0) + flops
        return out


class Bench:
    """A step that is measured, the only one of its process.

    Args:
        kind (type): ``OurStep`` or ``AuthorsStep``.
        spec (dict): What it takes, and the number of ``threads``.
    """

    def __init__(self, kind: type, spec: dict) -> None:
        warnings.simplefilter('ignore')
        torch.set_num_threads(spec['threads'])
        torch.manual_seed(0)
        self.spec, self.method = spec, kind(spec)
        before = forget_peak(spec['device'])
        self.before = before if spec['device'] == 'cpu' else 0.0  # weights count on a GPU
        self.method.start()

    def seconds(self) -> float:
        """Wall-clock time of one step; its data is drawn before."""
        data = self.method.data()
        begin = timer()  # waits for the GPU
        self.method.step(data)
        return timer() - begin

    def settle(self) -> None:
        """Forget the peak of the first steps, which choose algorithms and compile."""
        forget_peak(self.spec['device'])

    def costs(self) -> tuple[float | None, dict[str, int]]:
        """Peak MB since :meth:`settle`, and multiply-adds of a step by part."""
        peak = peak_mb(self.spec['device'], self.before)
        method = self.method.to_count()
        method.step(method.data())  # what is done once is no part of a step
        with PartCounter(method.parts()) as counter:
            method.step(method.data())
        return peak, {part: flops // 2 for part, flops in counter.flops.items()}


_bench: Bench | None = None


def start(kind: type, spec: dict) -> None:
    """Build the step of this process."""
    global _bench
    _bench = Bench(kind, spec)


def ask(question: str) -> Any:
    """What a method of this process's ``Bench`` answers."""
    return getattr(_bench, question)()


def convolution_rate(device: str, dtype: str, threads: int) -> float:
    """Multiply-adds a second of a large convolution."""
    batch, count = (4, 4) if device == 'cpu' else (64, 20)
    shapes = dict(maps=(batch, 512, 34, 34), weight=(512, 512, 3, 3))
    options = dict(dtype=getattr(torch, dtype), device=device)
    tensors = {name: torch.randn(shape, **options) for name, shape in shapes.items()}
    convolution = Timer('torch.conv2d(maps, weight)', globals=tensors, num_threads=threads)
    return batch * 32**2 * 512**2 * 9 / convolution.timeit(count).median
