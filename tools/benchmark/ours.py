"""A training step of this package, as a config describes it."""

from collections.abc import Iterator

import cv2
import torch
from mmagic.structures import DataSample
from mmengine.logging import MessageHub
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from steps import Step
from torch import nn

from sesim_mmagic.apis.launch import enable_amp
from sesim_mmagic.engine.cpu import keep_freed_memory
from sesim_mmagic.networks.frozen_features import FrozenFeatures
from sesim_mmagic.registry import MODELS

# PatchNCE sees through the generator, and pixels are compared as they are.
_WITHOUT_FEATURE_NET = 'sesim_mmagic.PatchNCELoss', 'sesim_mmagic.PixelLoss'


class OurStep(Step):
    """A model and its optimizers as a config describes them, on random pictures.

    Args:
        spec (dict): ``cfg`` (the config), ``precision``, ``channels_last``, ``compile``,
            ``size`` and ``batch``, and what every step takes.
    """

    def __init__(self, spec: dict) -> None:
        super().__init__(spec)
        self.iteration, cfg = 0, spec['cfg'].copy()
        if spec['device'] == 'cpu':
            keep_freed_memory()  # as training does
        if spec['precision'] == 'amp':
            enable_amp(cfg)
        cfg.model.update({name: True for name in ('channels_last', 'compile') if spec[name]})
        loss = cfg.model.get('structure_loss')
        if loss and loss.type not in _WITHOUT_FEATURE_NET:
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

    def data(self) -> dict:
        """A batch as a data loader gives it: lists of uint8 tensors and of samples."""
        batch, size = self.spec['batch'], self.spec['size']
        pictures = {key: torch.randint(256, (batch, 3, size, size)).byte() for key in self.keys}
        samples = [DataSample() for _ in range(batch)]
        for number, sample in enumerate(samples):
            sample.set_tensor_data({key: images[number] for key, images in pictures.items()})
        inputs = {key: list(images) for key, images in pictures.items()}
        return dict(inputs=inputs, data_samples=samples)

    def step(self, data: dict) -> None:
        """One step of training on a batch."""
        # The models of MMagic ask for the iteration.
        MessageHub.get_current_instance().update_info('iter', self.iteration)
        self.iteration += 1
        self.model.train_step(data, self.optim_wrapper)

    def parts(self) -> dict[str, nn.Module]:
        """The feature networks, and the model's own children."""
        networks = (m for m in self.model.modules() if isinstance(m, FrozenFeatures))
        return {'features': nn.ModuleList(networks), **dict(self.model.named_children())}

    def to_count(self) -> 'OurStep':
        """The step in plain float32."""
        return OurStep(dict(self.spec, precision='fp32', channels_last=False, compile=False))


class TrainingStep(OurStep):
    """The same on the pictures that the config loads, with the time that loading takes.

    Args:
        spec (dict): As ``OurStep``'s, without ``size`` and ``batch``.
    """

    def __init__(self, spec: dict) -> None:
        super().__init__(spec)
        cv2.setNumThreads(0)  # as training does
        self.batches = self._batches()

    def _batches(self) -> Iterator[dict]:
        loader = Runner.build_dataloader(self.spec['cfg'].train_dataloader, seed=0)
        while True:
            yield from loader

    def data(self) -> None:
        """Nothing: loading is a part of the step."""

    def step(self, data: None) -> None:
        """Load a batch, and train on it."""
        super().step(next(self.batches))
