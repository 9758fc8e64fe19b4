"""What a benchmark of training steps measures, each method in a process of its own."""

import ctypes
import multiprocessing
import os
import sys
import time
import traceback
import warnings
from contextlib import suppress
from pathlib import Path

import torch
from reference_step import ReferenceStep

# Work of one measurement of a rate: repetitions, and the side of square matrices or the pictures
# of a batch with 512 channels.
MATMUL = {'cpu': (4, 2048), 'cuda': (20, 8192)}
CONVOLUTION = {'cpu': (4, 4), 'cuda': (20, 64)}


class OurStep:
    """A model and its optimizers as a config describes them, on random pictures."""

    def __init__(self, spec):
        from mmengine.optim import build_optim_wrapper
        from mmengine.registry import init_default_scope

        from sesim_mmagic.apis.launch import enable_amp
        from sesim_mmagic.engine.memory import keep_freed_memory
        from sesim_mmagic.registry import MODELS

        self.spec, self.steps = spec, 0
        if spec['device'] == 'cpu':
            keep_freed_memory()  # as training does
        cfg = read_config(spec['config'], spec['cfg_options'])
        if spec['precision'] == 'amp':
            enable_amp(cfg)
        cfg.model.update({name: True for name in ('channels_last', 'compile') if spec[name]})
        for loss in filter(None, (cfg.model.get('structure_loss'), cfg.model.get('style_loss'))):
            net = {'type': 'sesim_mmagic.VGG16Features', **(loss.get('feature_net') or {})}
            loss.feature_net = {**net, 'pretrained': None, 'seed': 0}
        init_default_scope(cfg.get('default_scope', 'mmagic'))
        torch.backends.cudnn.benchmark = cfg.get('env_cfg', {}).get('cudnn_benchmark', False)
        self.keys = [f'img_{domain}' for domain in domains(cfg.model)]
        if spec['augmented']:
            self.keys += [f'{key}_aug' for key in self.keys]
        self.model = MODELS.build(cfg.model)
        self.model.init_weights()
        self.model.to(spec['device']).train()
        self.optim_wrapper = build_optim_wrapper(self.model, cfg.optim_wrapper)

    def start(self):
        """Nothing to prepare before the first step."""

    def reference(self):
        """The same model as the counter of multiply-adds can see through it, in float32."""
        plain = dict(precision='fp32', channels_last=False, compile=False)
        return OurStep({**self.spec, **plain})

    def data(self):
        """A batch as a data loader gives it: lists of uint8 tensors and of samples."""
        from mmagic.structures import DataSample

        shape = (3, self.spec['size'], self.spec['size'])
        samples = [DataSample() for _ in range(self.spec['batch'])]
        for sample in samples:
            pictures = {key: torch.randint(256, shape, dtype=torch.uint8) for key in self.keys}
            sample.set_tensor_data(pictures)
        inputs = {key: [sample.get(key) for sample in samples] for key in self.keys}
        return dict(inputs=inputs, data_samples=samples)

    def step(self, data):
        """One step of training on a batch."""
        from mmengine.logging import MessageHub

        # The models of MMagic ask for the iteration.
        MessageHub.get_current_instance().update_info('iter', self.steps)
        self.steps += 1
        self.model.train_step(data, self.optim_wrapper)

    def parts(self):
        """Modules by what they are in the step; the first that holds a weight counts."""
        from sesim_mmagic.networks import VGG16Features

        return {
            'generator': [self.model.generators],
            'discriminator': [self.model.discriminators],
            'VGG16': [m for m in self.model.modules() if isinstance(m, VGG16Features)],
            'learned layers': filter(None, [getattr(self.model, 'structure_loss', None)]),
        }


class Matmul:
    """Products of large matrices: a rate that floors are computed from."""

    work, operator = MATMUL, staticmethod(torch.mm)

    def __init__(self, spec):
        # Convolutions in float32 may use TF32 where matrix products, unless told so, do not.
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32
        torch.backends.cudnn.benchmark = True
        self.count, self.scale = self.work[spec['device']]
        options = dict(dtype=getattr(torch, spec['dtype']), device=spec['device'])
        self.factors = [torch.randn(shape, **options) for shape in self.shapes()]

    def shapes(self):
        """Shapes of the two factors."""
        return [(self.scale, self.scale)] * 2

    def multiply_adds(self):
        """Of one step."""
        return self.count * self.scale**3

    def start(self):
        """Nothing to prepare."""

    def data(self):
        """The factors."""
        return self.factors

    def step(self, data):
        """Some products."""
        for _ in range(self.count):
            self.operator(*data)


class Convolution(Matmul):
    """Convolutions of large maps: the other rate."""

    work, operator = CONVOLUTION, staticmethod(torch.conv2d)

    def shapes(self):
        """Shapes of the maps and of the weight; 32 x 32 maps remain."""
        return (self.scale, 512, 34, 34), (512, 512, 3, 3)

    def multiply_adds(self):
        """Of one step."""
        return self.count * self.scale * 512 * 512 * 9 * 32 * 32


METHODS = dict(ours=OurStep, reference=ReferenceStep, matmul=Matmul, convolution=Convolution)


def read_config(path, cfg_options):
    """A config with the overrides of the command line."""
    from mmengine.config import Config

    cfg = Config.fromfile(path)
    cfg.merge_from_dict(cfg_options or {})
    return cfg


def domains(model):
    """Domains whose pictures a model is trained on."""
    if 'source_domain' in model:
        return [model.source_domain, model.target_domain]
    return model.related_domains


# ---------------------------------------------------------- inside a method's process


class Bench:
    """What a worker answers about its method."""

    def __init__(self, kind, spec):
        self.device = spec['device']
        torch.set_num_threads(spec['threads'])
        torch.manual_seed(0)
        self.method = METHODS[kind](spec)
        self.memory_before = forget_peak(self.device)
        self.method.start()

    def seconds(self):
        """Wall-clock time of one step; its data is drawn before."""
        data = self.method.data()
        self.synchronise()
        start = time.perf_counter()
        self.method.step(data)
        self.synchronise()
        return time.perf_counter() - start

    def synchronise(self):
        """Wait until the device has done what it was given."""
        if self.device == 'cuda':
            torch.cuda.synchronize()

    def settle(self):
        """Forget the peak of the first steps, which choose algorithms and compile."""
        forget_peak(self.device)

    def peak_mb(self):
        """Peak memory since :meth:`settle` (see the module's description)."""
        if self.device == 'cuda':
            return torch.cuda.max_memory_allocated() / 2**20
        if self.memory_before is None:
            return None
        return resident_megabytes('VmHWM') - self.memory_before

    def multiply_adds(self):
        """Multiply-adds of one step: in all, and of the convolutions of each part.

        Convolutions whose weights are computed from parameters, as StyleGAN2's, are in no part.
        """
        if isinstance(self.method, Matmul):
            return dict(total=self.method.multiply_adds())
        reference = self.method.reference()
        reference.step(reference.data())  # what is done once is no part of a step
        with FlopCount(reference.parts()) as counter:
            reference.step(reference.data())
        total = counter.total // 2
        parts = {name: flops // 2 for name, flops in counter.flops.items() if flops}
        return dict(total=total, parts={**parts, 'other': total - sum(parts.values())})


class FlopCount(torch.utils._python_dispatch.TorchDispatchMode):
    """Counts everything, and the convolutions with the weights of each part, forward and backward.

    ``FlopCounterMode`` goes by the module that is being called, which tells parts neither apart
    that have one class nor where their backward pass ends, and refuses gradient penalties.
    """

    def __init__(self, parts):
        super().__init__()
        self.total = 0
        self.flops = {f'{part} {way}': 0 for part in parts for way in ('forward', 'backward')}
        self.owner = {}
        for part, modules in parts.items():
            for module in modules:
                for weight in (*module.parameters(), *module.buffers()):
                    self.owner.setdefault(weight.data_ptr(), part)

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        """Run the operator; count it if it is a convolution with a known weight."""
        from torch.utils.flop_counter import flop_registry

        out = func(*args, **(kwargs or {}))
        packet = func.overloadpacket
        if packet not in flop_registry:
            return out
        flops = flop_registry[packet](*args, **(kwargs or {}), out_val=out)
        self.total += flops
        backward = packet is torch.ops.aten.convolution_backward
        if backward or packet is torch.ops.aten.convolution:
            part = self.owner.get(args[2 if backward else 1].data_ptr())
            if part is not None:
                self.flops[f'{part} {"backward" if backward else "forward"}'] += flops
        return out


def forget_peak(device):
    """Forget the peak of memory so far; on the CPU, resident MB, None where not known."""
    if device == 'cuda':
        torch.cuda.reset_peak_memory_stats()
        return None
    try:
        ctypes.CDLL(None).malloc_trim(0)  # what building has freed is not to be used again
        Path('/proc/self/clear_refs').write_text('5')
    except (AttributeError, OSError):  # not Linux
        return None
    return resident_megabytes('VmRSS')


def resident_megabytes(field):
    """Memory of this process that /proc/self/status names ``field``, in MB."""
    status = Path('/proc/self/status').read_text()
    return int(status.split(f'{field}:')[1].split()[0]) / 1024


def work(pipe, kind, spec):
    """Build a method, then answer questions until the pipe closes."""
    warnings.simplefilter('ignore')
    # Logs of the libraries are not to stand in the table.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    try:
        bench = Bench(kind, spec)
        pipe.send((True, None))
        while True:
            pipe.send((True, getattr(bench, pipe.recv())()))
    except EOFError:
        return
    except (Exception, SystemExit):  # their option parser exits
        pipe.send((False, traceback.format_exc()))


class Worker:
    """A method in a process of its own, idle unless asked."""

    def __init__(self, kind, spec):
        context = multiprocessing.get_context('spawn')
        self.kind = kind
        self.pipe, other_end = context.Pipe()
        self.process = context.Process(target=work, args=(other_end, kind, spec))
        self.process.start()
        other_end.close()
        self.answer()

    def ask(self, question):
        """Answer to a question, the name of a method of ``Bench``."""
        with suppress(BrokenPipeError):  # a dead process; answer() says so
            self.pipe.send(question)
        return self.answer()

    def answer(self):
        """What the process says next; SystemExit if it failed."""
        try:
            succeeded, answer = self.pipe.recv()
        except EOFError:
            self.process.join()
            succeeded, answer = False, f'ended with exit code {self.process.exitcode}'
        if not succeeded:
            sys.exit(f'{self.kind}: {answer}')
        return answer

    def close(self):
        """End the process."""
        self.pipe.close()
        self.process.join()
