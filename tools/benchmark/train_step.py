"""Time, memory and multiply-adds of a training step, beside the authors' own code.

    python tools/benchmark/train_step.py CONFIG [CONFIG ...] [--reference F-LSeSim]
        [--device cuda] [--sizes 256] [--batch 1] [--precision amp] [--channels-last] [--compile]
        [--repeats 7] [--out train_step.json]

A step is ``model.train_step`` on random pictures as a data loader gives them, with the optimizers
of the config and random VGG16 weights. ``--reference`` names a checkout of
github.com/lyndonzheng/F-LSeSim, whose step (``set_input`` and ``optimize_parameters``) is measured
in turn with ours, in float32 whatever ours has: it knows nothing else. Each contestant lives in a
process of its own and only one runs at a time: ours, theirs, ours, theirs, so that a busy machine
slows both, and ratios are taken round by round.

Peak memory of the measured steps is what PyTorch allocated on a GPU, weights included; on the CPU
it is how much the process has grown since the model was built. The floor of a step is the time its
multiply-adds would take at the rate of a large matrix product or convolution, whichever is faster
in the same round (some matrix libraries hold back on some processors). Convolutions that save
multiplications may come below it; a step also does what is no multiply-add.
"""

import argparse
import ctypes
import json
import multiprocessing
import os
import sys
import time
import traceback
import warnings
from contextlib import ExitStack, suppress
from pathlib import Path
from statistics import median

import torch
from reference_step import ReferenceStep, is_reference

LOSSES = {'sesim_mmagic.FSeSimLoss': 'fixed', 'sesim_mmagic.LSeSimLoss': 'learned'}
# Work of one measurement of a rate: repetitions, and the side of square matrices or the pictures
# of a batch with 512 channels.
MATMUL = {'cpu': (4, 2048), 'cuda': (20, 8192)}
CONVOLUTION = {'cpu': (4, 4), 'cuda': (20, 64)}


# ------------------------------------------------------------------ contestants


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

    def twin(self):
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

        # The models of the host ask for the iteration.
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


CONTESTANTS = dict(ours=OurStep, reference=ReferenceStep, matmul=Matmul, convolution=Convolution)
RATES = ('matmul', 'convolution')


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


# ---------------------------------------------------------- inside a contestant's process


class Bench:
    """What a worker answers about its contestant."""

    def __init__(self, kind, spec):
        self.device = spec['device']
        torch.set_num_threads(spec['threads'])
        torch.manual_seed(0)
        self.contestant = CONTESTANTS[kind](spec)
        self.memory_before = forget_peak(self.device)
        self.contestant.start()

    def seconds(self):
        """Wall-clock time of one step; its data is drawn before."""
        data = self.contestant.data()
        self.synchronise()
        start = time.perf_counter()
        self.contestant.step(data)
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
        """Multiply-adds of one step: in all, and of the convolutions of each part."""
        from torch.utils.flop_counter import FlopCounterMode

        if isinstance(self.contestant, Matmul):
            return dict(total=self.contestant.multiply_adds())
        twin = self.contestant.twin()
        twin.step(twin.data())  # what is done once is no part of a step
        by_part = CountByPart(twin.parts())
        with FlopCounterMode(display=False) as counter, by_part:
            twin.step(twin.data())
        total = counter.get_total_flops() // 2
        parts = {name: flops // 2 for name, flops in by_part.flops.items() if flops}
        return dict(total=total, parts={**parts, 'other': total - sum(parts.values())})


class CountByPart(torch.utils._python_dispatch.TorchDispatchMode):
    """Counts the convolutions with the weights of each part, forward and backward.

    ``FlopCounterMode`` goes by the module that is being called, which tells parts neither apart
    that have one class nor where their backward pass ends.
    """

    def __init__(self, parts):
        super().__init__()
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
        backward = packet is torch.ops.aten.convolution_backward
        if backward or packet is torch.ops.aten.convolution:
            part = self.owner.get(args[2 if backward else 1].data_ptr())
            if part is not None:
                name = f'{part} {"backward" if backward else "forward"}'
                self.flops[name] += flop_registry[packet](*args, **(kwargs or {}), out_val=out)
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
    """Build a contestant, then answer questions until the pipe closes."""
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


# ------------------------------------------------------------------ measuring


class Worker:
    """A contestant in a process of its own, idle unless asked."""

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


def precisions(spec):
    """Type of the numbers that each step computes with."""
    fast = dict(cpu='bfloat16', cuda='float16')[spec['device']]
    dtypes = {'ours': fast if spec['precision'] == 'amp' else 'float32'}
    if spec['reference']:
        dtypes['reference'] = 'float32'
    return dtypes


def measure(spec, repeats, warmup):
    """Results of one config at one size, for each contestant and as ratios."""
    dtypes = precisions(spec)
    rates = [f'{kind} {dtype}' for dtype in dict.fromkeys(dtypes.values()) for kind in RATES]
    with ExitStack() as stack:
        workers = {}
        for name in (*dtypes, *rates):
            kind, _, dtype = name.partition(' ')
            workers[name] = Worker(kind, {**spec, 'dtype': dtype})
            stack.callback(workers[name].close)
        run_rounds(workers, warmup)
        for worker in workers.values():
            worker.ask('settle')
        seconds = run_rounds(workers, repeats)
        # All memory is read before the counting, which takes some.
        memory = {name: workers[name].ask('peak_mb') for name in dtypes}
        counts = {name: worker.ask('multiply_adds') for name, worker in workers.items()}
    per_second = {n: [counts[n]['total'] / value for value in seconds[n]] for n in rates}
    result = {key: spec[key] for key in ('config', 'mode', 'augmented', 'size')}
    for name, dtype in dtypes.items():
        result[name] = summary(seconds[name], memory[name], counts[name])
        measured = {kind: per_second[f'{kind} {dtype}'] for kind in RATES}
        result[name]['floor'] = floor(seconds[name], counts[name]['total'], measured)
        result[name]['floor']['dtype'] = dtype
    if 'reference' in dtypes:
        result['reference_over_ours'] = compare(result, seconds)
    return result


def run_rounds(workers, count):
    """Seconds of each worker's step, one after the other, ``count`` times."""
    seconds = {name: [] for name in workers}
    for _ in range(count):
        for name, worker in workers.items():
            seconds[name].append(worker.ask('seconds'))
    return seconds


def summary(seconds, peak_mb, counts):
    """What is reported of one contestant."""
    times = [1000 * value for value in seconds]
    return dict(
        median_ms=median(times),
        range_ms=(min(times), max(times)),
        times_ms=times,
        peak_mb=peak_mb,
        multiply_adds=counts['total'],
        multiply_adds_by_part=counts['parts'],
    )


def floor(seconds, multiply_adds, rates):
    """Time of the multiply-adds at the best rate of each round; how far above it the step is."""
    floors = [multiply_adds / max(of_round) for of_round in zip(*rates.values(), strict=True)]
    above = [value / least for value, least in zip(seconds, floors, strict=True)]
    return dict(
        ms=1000 * median(floors),
        step_over_floor=median(above),
        gigamultiply_adds_per_second={kind: median(rates[kind]) / 1e9 for kind in rates},
    )


def compare(result, seconds):
    """Ratios of the reference to ours; that of the times is taken round by round."""
    ours, reference = result['ours'], result['reference']
    ratios = [r / o for o, r in zip(seconds['ours'], seconds['reference'], strict=True)]
    return dict(
        time=median(ratios),
        time_range=(min(ratios), max(ratios)),
        # Noise only ever adds: on a busy machine this says more than the median.
        time_of_fastest=min(reference['times_ms']) / min(ours['times_ms']),
        peak_mb=reference['peak_mb'] / ours['peak_mb'] if ours['peak_mb'] else None,
        multiply_adds=reference['multiply_adds'] / ours['multiply_adds'],
    )


# ------------------------------------------------------------------ reporting


def table(result):
    """Lines that say one result."""
    yield f'\n{Path(result["config"]).name}, {result["size"]} x {result["size"]}'
    yield '             median ms (range)               peak MB   10^9 m.-adds   floor ms  x floor'
    for name in ('ours', 'reference'):
        if name not in result:
            continue
        row = result[name]
        low, high = row['range_ms']
        peak = '-' if row['peak_mb'] is None else f'{row["peak_mb"]:.0f}'
        yield (
            f'{name:10s} {row["median_ms"]:10.1f} ({low:.1f} to {high:.1f})'.ljust(44)
            + f'{peak:>8s} {row["multiply_adds"] / 1e9:14.2f} {row["floor"]["ms"]:10.1f} '
            f'{row["floor"]["step_over_floor"]:8.2f}'
        )
    if 'reference_over_ours' in result:
        ratio = result['reference_over_ours']
        low, high = ratio['time_range']
        memory = '-' if ratio['peak_mb'] is None else f'{ratio["peak_mb"]:.2f}'
        yield (
            f'reference / ours: time {ratio["time"]:.2f} ({low:.2f} to {high:.2f}), fastest steps '
            f'{ratio["time_of_fastest"]:.2f}, memory {memory}, '
            f'multiply-adds {ratio["multiply_adds"]:.2f}'
        )
    for name in ('ours', 'reference'):
        if name in result:
            yield from table_of_parts(name, result[name])


def table_of_parts(name, row):
    """Lines with the multiply-adds of each part and the rates of the machine."""
    parts = row['multiply_adds_by_part'].items()
    yield f'{name}, 10^9 multiply-adds: ' + ', '.join(f'{k} {v / 1e9:.2f}' for k, v in parts)
    rates = row['floor']['gigamultiply_adds_per_second'].items()
    rates = ', '.join(f'{kind} {rate:.1f}' for kind, rate in rates)
    yield f'{name}, 10^9 multiply-adds a second in {row["floor"]["dtype"]}: {rates}'


def device_name(device):
    """What the processor or the GPU calls itself."""
    if device == 'cuda':
        return torch.cuda.get_device_name()
    try:
        lines = Path('/proc/cpuinfo').read_text().splitlines()
        return next(line for line in lines if line.startswith('model name')).split(': ')[1]
    except (OSError, StopIteration):
        return 'CPU'


# ------------------------------------------------------------------ command line


def create_parser():
    """The command line."""
    from mmengine.config import DictAction

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('configs', nargs='+', metavar='CONFIG', help='config files')
    parser.add_argument('--reference', help="folder of the authors' code, F-LSeSim")
    parser.add_argument('--device', choices=('cpu', 'cuda'), default='cpu')
    parser.add_argument('--sizes', type=int, nargs='+', default=[256], help='sides of pictures')
    parser.add_argument('--batch', type=int, default=1, help='pictures a batch')
    parser.add_argument('--precision', choices=('fp32', 'amp'), default='fp32', help='of ours')
    parser.add_argument('--channels-last', action='store_true', help='memory format of ours')
    parser.add_argument('--compile', action='store_true', help='torch.compile for ours')
    parser.add_argument('--repeats', type=int, default=7, help='measured rounds')
    parser.add_argument('--warmup', type=int, default=2, help='rounds before them')
    parser.add_argument('--threads', type=int, help="threads of the CPU; PyTorch's own choice")
    parser.add_argument('--out', help='JSON file for the results')
    parser.add_argument(
        '--cfg-options', nargs='+', action=DictAction, metavar='KEY=VALUE', help='as in training'
    )
    return parser


def check(parser, args):
    """End with a message if something asked for cannot be had."""
    for name, least in dict(repeats=1, warmup=0, batch=1, threads=1).items():
        if getattr(args, name) < least:
            parser.error(f'--{name} must be {least} or more, got {getattr(args, name)}')
    if min(args.sizes) < 1:
        parser.error(f'--sizes must be positive, got {min(args.sizes)}')
    if args.device == 'cuda' and not torch.cuda.is_available():
        parser.error('--device cuda: PyTorch finds no GPU')
    if args.reference and not is_reference(args.reference):
        parser.error(
            f"--reference '{args.reference}' holds no models/sc_model.py; give the root of a "
            'checkout of github.com/lyndonzheng/F-LSeSim'
        )
    for config in args.configs:
        if not Path(config).is_file():
            parser.error(f"config '{config}' does not exist (working directory: '{Path.cwd()}')")


def read_mode(parser, args, config):
    """The authors' mode that a config corresponds to, None if none, and if views are augmented."""
    model = read_config(config, args.cfg_options).model
    loss = model.get('structure_loss') or {}
    kind = loss.get('type')
    if args.reference and (kind not in LOSSES or 'source_domain' not in model):
        parser.error(
            f"'{config}' has no counterpart in the reference, which trains one generator with "
            f'one of {", ".join(LOSSES)}; its model is {model.type} with structure_loss {kind}'
        )
    mode = LOSSES.get(kind)
    augmented = mode == 'learned' and loss.get('use_augmented_view', True)
    return dict(config=config, mode=mode, augmented=augmented)


def main(argv=None):
    """Measure, print tables and, if asked, write JSON."""
    parser = create_parser()
    args = parser.parse_args(argv)
    if args.threads is None:
        args.threads = torch.get_num_threads()
    check(parser, args)
    modes = [read_mode(parser, args, config) for config in args.configs]
    if args.device == 'cpu':  # to the workers too: mixed precision asks whether there is a GPU
        os.environ['CUDA_VISIBLE_DEVICES'] = ''
    settings = {k: v for k, v in vars(args).items() if k not in ('configs', 'out')}
    report = dict(device_name=device_name(args.device), torch=torch.__version__, **settings)
    if args.device == 'cuda':
        report['tf32_convolutions'] = torch.backends.cudnn.allow_tf32
    print(', '.join(f'{key} {value}' for key, value in report.items() if value is not None))
    report['results'] = []
    for mode in modes:
        for size in args.sizes:
            spec = {**settings, **mode, 'size': size}
            report['results'].append(measure(spec, args.repeats, args.warmup))
            print('\n'.join(table(report['results'][-1])), flush=True)
    if args.out:
        from sesim_mmagic.engine.files import write_atomically

        write_atomically(Path(args.out), json.dumps(report, indent=2) + '\n')


if __name__ == '__main__':
    main()
