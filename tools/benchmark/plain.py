"""A training step without MMagic: networks and losses of this package in a loop of one's own.

It needs PyTorch, torchvision and MMEngine. Networks, losses and weights are those of a config; in
the place of MMagic's networks and GAN loss stand this package's and PyTorch's of the same kind.
What costs a GPU next to nothing is left out: image buffer, moving average, schedules.
"""

import logging
from collections.abc import Iterable
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from mmengine.config import Config
from steps import Step
from torch import Tensor, nn

from sesim_mmagic.losses import LearnedStructureLoss
from sesim_mmagic.networks.recomputing import recompute
from sesim_mmagic.registry import MODELS

#: Networks of MMagic, what stands for them here, and the settings that both have.
STAND_INS = {
    'ResnetGenerator': ('sesim_mmagic.ResNetBlurGenerator', ('base_channels', 'num_blocks')),
    'PatchDiscriminator': ('sesim_mmagic.BlurPatchGAN', ('base_channels',)),
}
GAN_LOSSES = dict(lsgan=F.mse_loss, vanilla=F.binary_cross_entropy_with_logits)


class Pass(NamedTuple):
    """What the generators made of a batch."""

    #: Translations by their domain, (B, 3, H, W).
    translated: dict[str, Tensor]
    #: What the structure loss compares: a factor, features of two batches. First each direction.
    pairs: list[tuple[float, list[Tensor], list[Tensor]]]
    #: Further terms of the generators' objective, scalars.
    terms: list[Tensor]


class PlainStep(Step):
    """A step of a translator with one generator or two, as a config describes it.

    Args:
        spec (dict): ``config`` (path), ``channels_last``, ``compile``, ``graph`` (whether the step
            is captured and replayed as a CUDA graph), ``with_cp`` (activation checkpointing),
            ``narrow`` (networks of a few channels, to try the step itself), ``size`` and ``batch``,
            and what every step takes; networks compute in ``dtype``.
    """

    def __init__(self, spec: dict) -> None:
        super().__init__(spec)
        cfg = Config.fromfile(spec['config'])
        self.cfg, self.graph = cfg.model, None
        two_sided = self.cfg.get('two_sided', 'Translator' not in self.cfg.type or self.has_styles)
        #: Source of each domain that is translated into.
        self.sources = {'b': 'a', 'a': 'b'} if two_sided else {'b': 'a'}
        self.generators = nn.ModuleDict({d: self.network('generator') for d in self.sources})
        self.discriminators = nn.ModuleDict(
            {d: self.network('discriminator') for d in self.sources}
        )
        self.structure_loss = self.loss()
        for part in self.parts().values():
            part.to(spec['device']).train()
            if spec['channels_last']:
                part.to(memory_format=torch.channels_last)
        if spec['compile']:
            self.compile()
        if spec['with_cp']:
            recompute(self.generators, self.other_networks)
        keys = [key for key in cfg.optim_wrapper if key in self.parts()]
        self.optimizers = {key: self.adam(key, cfg.optim_wrapper[key]) for key in keys}
        enabled = spec['dtype'] == 'float16'
        # A small scale: steps whose gradients overflow are left out, and are none to measure.
        self.scaler = torch.amp.GradScaler(spec['device'], init_scale=2.0**8, enabled=enabled)

    @property
    def has_styles(self) -> bool:
        """Whether translations have styles, as MUNIT's."""
        return 'MUNIT' in self.cfg.generator.type

    def network(self, kind: str) -> Any:
        """A generator or discriminator of the config, initialised."""
        settings = dict(self.cfg[kind])
        if settings['type'] in STAND_INS:
            own, known = STAND_INS[settings['type']]
            settings = {'type': own, **{key: settings[key] for key in known if key in settings}}
        if 'size' in settings:  # of a discriminator that sees whole crops
            settings['size'] = self.spec['size']
        if self.spec['narrow']:
            settings['base_channels'] = 4
        return self.built(settings)

    def loss(self) -> Any:
        """The structure loss of the config on random features; None if there is none."""
        settings = dict(self.cfg.get('structure_loss') or {})
        if not settings:
            return None
        if settings['type'] == 'sesim_mmagic.PatchNCELoss':
            layers = settings.get('layers', (0, 4, 8, 12, 16))
            settings |= dict(layers=layers, channels=self.generators['b'].feature_channels(layers))
        else:
            net = {'type': 'sesim_mmagic.VGG16Features', **(settings.get('feature_net') or {})}
            net |= {'pretrained': None, 'seed': 0}
            settings['feature_net'] = {**net, 'width': 0.125} if self.spec['narrow'] else net
        return self.built(settings)

    @property
    def other_networks(self) -> list[nn.Module]:
        """Discriminators and feature network."""
        features = getattr(self.structure_loss, 'feature_net', None)
        return [*self.discriminators.values()] + [features] * (features is not None)

    def built(self, settings: dict) -> Any:
        """A module of the registry, initialised."""
        module = MODELS.build(settings)
        logging.disable()  # MMEngine notes every tensor
        module.init_weights()
        logging.disable(logging.NOTSET)
        return module

    def compile(self) -> None:
        """Compile the networks, as the translators do."""
        if self.cfg.get('gradient_penalty_weight'):
            raise ValueError('its gradient penalty differentiates compiled networks twice')
        for network in [*self.generators.values(), *self.other_networks]:
            network.compile()

    def adam(self, key: str, settings: Any) -> torch.optim.Adam:
        """The optimizer of a key of the config; on a GPU one kernel that waits for nothing."""
        modules = settings.get('modules', key)
        names = [modules] if isinstance(modules, str) else modules
        weights = [w for name in names for w in self.parts()[name].parameters() if w.requires_grad]
        options = {name: value for name, value in settings.optimizer.items() if name != 'type'}
        fused = self.spec['device'] == 'cuda'
        return torch.optim.Adam(weights, **options, fused=fused, capturable=self.spec['graph'])

    def parts(self) -> dict[str, nn.Module]:
        """Modules by what they are in the step."""
        features = getattr(self.structure_loss, 'feature_net', None)
        parts = dict(features=features, generators=self.generators)
        parts |= dict(discriminators=self.discriminators, structure_loss=self.structure_loss)
        return {name: part for name, part in parts.items() if part is not None}

    def to_count(self) -> 'PlainStep':
        """The step in plain float32."""
        plain = dict(channels_last=False, compile=False, graph=False, with_cp=False)
        return PlainStep({**self.spec, **plain, 'dtype': 'float32'})

    def start(self) -> None:
        """Capture the step, if it is to be replayed as a CUDA graph."""
        if not self.spec['graph']:
            return
        self.images = self.data()
        aside = torch.cuda.Stream()
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):
            for _ in range(3):  # libraries choose algorithms and allocate
                self.update(*self.images)
        torch.cuda.current_stream().wait_stream(aside)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            self.update(*self.images)
        self.graph = graph

    def data(self) -> Tensor:
        """Images of both domains on the device, shape (2, B, 3, H, W), values in [-1, 1]."""
        shape = (2, self.spec['batch'], 3, self.spec['size'], self.spec['size'])
        return 2 * torch.rand(shape, device=self.spec['device']) - 1

    def step(self, data: Tensor) -> None:
        """One step of training on a batch."""
        if self.graph is None:
            self.update(*data)
        else:
            self.images.copy_(data)
            self.graph.replay()

    def update(self, a: Tensor, b: Tensor) -> None:
        """Update the structure loss if it learns, then the discriminators, then the generators."""
        real, loss = dict(a=a, b=b), self.structure_loss
        with self.autocast():
            made = self.translate_styles(real) if self.has_styles else self.translate(real)
        if isinstance(loss, LearnedStructureLoss):
            with self.autocast():
                lessons = [
                    loss(*pair, real[source], real[target], mode='learn')
                    for (target, source), (_, *pair) in self.directions(made)
                ]
            self.learn('structure_loss', lessons)
        with self.autocast():
            judged = [self.judged(domain, real[domain], made) for domain in self.sources]
        self.learn('discriminators', judged)
        self.discriminators.requires_grad_(False)
        with self.autocast():
            believed = [self.scored(t, images, 1.0) for t, images in made.translated.items()]
            kept = [factor * loss(*pair, mode='features') for factor, *pair in made.pairs]
        self.learn('generators', [*believed, *kept, *made.terms])
        self.discriminators.requires_grad_(True)
        if self.scaler.is_enabled():
            self.scaler.update()

    def directions(self, made: Pass) -> Iterable[tuple]:
        """Target and source of each direction, with what the structure loss compares there."""
        return zip(self.sources.items(), made.pairs[: len(self.sources)], strict=True)

    def autocast(self) -> torch.autocast:
        """Where networks compute in the step's type; a graph must not keep casts of old weights."""
        dtype, graph = getattr(torch, self.spec['dtype']), self.spec['graph']
        device, enabled = self.spec['device'], dtype != torch.float32
        return torch.autocast(device, dtype, enabled, cache_enabled=not graph)

    def learn(self, key: str, terms: Iterable[Any]) -> None:
        """One update of an optimizer by the sum of some terms."""
        objective: Any = sum(terms)
        self.optimizers[key].zero_grad()
        self.scaler.scale(objective).backward()
        self.scaler.step(self.optimizers[key])

    def scored(self, domain: str, images: Tensor, label: float) -> Any:
        """GAN loss of images, summed over the scales of a discriminator."""
        scores = self.discriminators[domain](images)
        loss = GAN_LOSSES[(self.cfg.get('gan_loss') or {}).get('gan_type', 'lsgan')]
        scales = scores if isinstance(scores, list) else [scores]
        return sum(loss(score, torch.full_like(score, label)) for score in scales)

    def judged(self, domain: str, real: Tensor, made: Pass) -> Any:
        """What a discriminator learns from."""
        fake = made.translated[domain].detach()
        total = (self.scored(domain, fake, 0.0) + self.scored(domain, real, 1.0)) / 2
        weight = self.cfg.get('gradient_penalty_weight', 0)
        if weight:
            with torch.autocast(real.device.type, enabled=False):
                share = torch.rand(len(real), 1, 1, 1, device=real.device)
                mixed = torch.lerp(fake.to(real.dtype), real, share).requires_grad_()
                scores = self.discriminators[domain](mixed)
                (slope,) = torch.autograd.grad(scores.sum(), mixed, create_graph=True)
                total = total + weight * (slope.flatten(1).norm(dim=1) - 1).square().mean()
        return total

    def translate(self, real: dict[str, Tensor]) -> Pass:
        """One-sided translation, or CycleGAN's both ways and back."""
        cfg, loss = self.cfg, self.structure_loss
        weights = cfg.get('loss_config', {})
        identity = cfg.get('structure_identity_weight', 0)
        made = Pass({}, [], [])
        extras: list = []
        for target, source in self.sources.items():
            generator = self.generators[target]
            batch = [real[source]] + [real[target]] * bool(identity or weights)
            if loss.needs_generator:
                outputs, maps = generator(torch.cat(batch), layers=loss.layers)
                seen = zip(*(layer.detach().chunk(len(batch)) for layer in maps), strict=True)
                seen = [list(features) for features in seen]
            else:
                outputs = generator(torch.cat(batch))
                seen = [loss.extract(images) for images in batch[: 2 if identity else 1]]
            translated, *same = outputs.chunk(len(batch))
            made.translated[target] = translated
            made.pairs.append((1.0, seen[0], loss.extract(translated, generator)))
            if identity:
                extras.append((identity, seen[1], loss.extract(same[0], generator)))
            if weights:
                distance = F.l1_loss(same[0], real[target])
                made.terms.append(weights['id_loss_weight'] * distance)
        for target, source in self.sources.items() if weights else ():
            back = self.generators[source](made.translated[target])
            made.terms.append(weights['cycle_loss_weight'] * F.l1_loss(back, real[source]))
        made.pairs.extend(extras)
        return made

    def translate_styles(self, real: dict[str, Tensor]) -> Pass:
        """MUNIT's translations with drawn styles, and its reconstructions."""
        cfg, loss, made = self.cfg, self.structure_loss, Pass({}, [], [])
        codes = {domain: self.generators[domain](images) for domain, images in real.items()}
        for target, source in self.sources.items():
            generator, content = self.generators[target], codes[source][0]
            style = torch.randn_like(codes[target][1])
            translated = made.translated[target] = generator(style=style, content=content)
            if loss is not None:
                seen = [loss.extract(images) for images in (real[source], translated)]
                made.pairs.append((1.0, *seen))
            own = generator(content=codes[target][0], style=codes[target][1])
            made.terms.append(cfg.image_weight * F.l1_loss(own, real[target]))
            again, found = generator(translated)
            made.terms.append(cfg.style_weight * F.l1_loss(found, style))
            made.terms.append(cfg.content_weight * F.l1_loss(again, content))
            if cfg.get('cycle_weight'):
                back = self.generators[source](content=again, style=codes[source][1])
                made.terms.append(cfg.cycle_weight * F.l1_loss(back, real[source]))
        return made
