"""A training seen through the same few inputs again and again."""

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.dataset import pseudo_collate
from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import Tensor, nn

from sesim_mmagic.engine.map_figure import Cell, draw_maps
from sesim_mmagic.engine.models import translator_of
from sesim_mmagic.engine.pictures import to_model_range, to_picture
from sesim_mmagic.engine.sources import parts_of
from sesim_mmagic.registry import HOOKS, MODELS
from sesim_mmagic.utils.checks import check_ints
from sesim_mmagic.utils.random import seeded_generators

#: Correlation of brightness below which light and dark of a picture are exchanged.
_EXCHANGED = -0.2


@HOOKS.register_module()
class FixedInputsHook(Hook):
    """Show, during training, translations of fixed inputs and their self-similarity.

    The inputs are the first pictures of the validation set or, where the config has none, of the
    test set. A row is a direction, an input and a query (the cross): input, translation, and for
    each layer of the structure loss the query's similarity to every position of the input and of
    the translation, as the loss sees it. Each map is coloured from its smallest value to its
    largest, which stand below: the cosine distance does not see scale either. A structure loss
    without self-similarity, or none, leaves the pictures alone.

    The figure goes to every backend of the visualizer as an image ``fixed_inputs`` of the step.
    With local files it is ``<work directory>/<time>/vis_data/vis_image/fixed_inputs_<step>.png``.

    Self-similarity cannot tell a picture from its negative, so a run may exchange light and dark.
    Where the brightness of all translations correlates negatively with that of their truths (a
    data set that is ``paired``) or of the inputs, one warning for each direction says so.

    The training does not notice: random states, modes of the modules and buffers are as before,
    and rank 0 alone draws, without a word to the others.

    Args:
        interval (int): Iterations between two figures; there is one after the last, too.
            Defaults to 5000.
        num_inputs (int | None): Number of inputs. Defaults to None: two, or one where there is no
            second.
        points (Sequence[tuple[float, float]]): Queries (x, y) as shares of width and height,
            from 0 to below 1. Defaults to two.

    Raises:
        ValueError: An argument is out of range.
    """

    # After whatever changes weights or refuses them.
    priority = 'LOW'

    def __init__(
        self,
        interval: int = 5000,
        num_inputs: int | None = None,
        points: Sequence[tuple[float, float]] = ((0.35, 0.3), (0.6, 0.6)),
    ) -> None:
        check_ints(self, least=1, interval=interval)
        check_ints(self, least=1, also=(None,), num_inputs=num_inputs)
        # Else a mistake would show at the first figure.
        if not points or any(len(p) != 2 or not all(0 <= v < 1 for v in p) for p in points):
            raise ValueError(
                'FixedInputsHook: points must be one or more pairs (x, y) of shares of width and '
                f'height, from 0 to below 1; got {points}'
            )
        self._exchanged: set[str] = set()
        self.interval = interval
        self.num_inputs = num_inputs
        self.points = points

    def before_train(self, runner: Runner) -> None:
        """Read the inputs, on rank 0.

        Raises:
            ValueError: There is no data set, it has too few samples, or these lack the pictures
                that the model translates.
        """
        if is_main_process():
            with _own_draws(runner.model):
                self._samples = self._read(runner)

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Draw, where it is due, on rank 0."""
        due = self.every_n_train_iters(runner, self.interval) or self.is_last_train_iter(runner)
        if due and is_main_process():
            model = translator_of(runner.model)
            with _own_draws(model), torch.no_grad():
                translated = list(self._translated(model))
                figure = self._figure(model, translated)
                self._check_brightness(runner, translated)
            runner.visualizer.add_image('fixed_inputs', figure, runner.iter + 1)

    def _read(self, runner: Runner) -> list[dict]:
        part, loop = ('val', runner.val_loop) if runner.val_loop else ('test', runner.test_loop)
        if loop is None:
            raise ValueError(
                'FixedInputsHook takes its inputs from the data set of val_dataloader or '
                'test_dataloader, and the config has neither; give one, or leave the hook out'
            )
        part, dataset = f'{part}_dataloader', parts_of(loop)[0][0].dataset
        self._has_truth = getattr(dataset, 'paired', False)
        number = min(2, len(dataset)) if self.num_inputs is None else self.num_inputs
        if len(dataset) < number:
            raise ValueError(
                f'FixedInputsHook: num_inputs is {number}, but the data set of '
                f'{part} has {len(dataset)} samples; set num_inputs to that or less'
            )
        samples = [dataset[i] for i in range(number)]
        for target, source in translator_of(runner.model).domains.items():
            for i, sample in enumerate(samples):
                if f'img_{source}' not in sample['inputs']:
                    raise ValueError(
                        f"FixedInputsHook: sample {i} of {part} has no picture 'img_{source}' to "
                        f"translate into '{target}', only {sorted(sample['inputs'])}; pack it in "
                        'the pipeline, or leave the hook out'
                    )
        return samples

    def _translated(self, model: Any) -> Iterator[tuple[str, str, tuple[Tensor, Tensor], Tensor]]:
        """Target, label, input with its translation, and what this should be as bright as."""
        for i, sample in enumerate(self._samples):
            # The preprocessor and the model write into samples.
            output = model.val_step(pseudo_collate([copy.deepcopy(sample)]))[0]
            for target, source in model.domains.items():
                path = output.get(f'img_{source}_path')
                label = Path(path).stem if path else f'input {i}'
                label = label if len(model.domains) == 1 else f'{label} to {target}'
                images = sample['inputs'][f'img_{source}'], output.get(f'fake_{target}')
                truth = sample['inputs'].get(f'img_{target}') if self._has_truth else None
                yield target, label, images, images[0] if truth is None else truth

    def _figure(self, model: Any, translated: Sequence) -> np.ndarray:
        names, layers, rows = ['input', 'translation'], [], []
        for _, label, images, _ in translated:
            maps = self._maps(model, images)
            layers = [(layer, names) for layer in maps]
            rows += self._rows(label, images, maps)
        return draw_maps([('', names), *layers], rows)

    def _check_brightness(self, runner: Runner, translated: Sequence) -> None:
        """Warn where light and dark are exchanged, once for each direction."""
        lacking = MODELS.build(dict(type='sesim_mmagic.BrightnessLoss', margin=1.0))
        found: dict[str, list[float]] = {}
        for target, _, images, reference in translated:
            pair = [to_model_range(image.cpu(), 'bgr') for image in (reference, images[1])]
            found.setdefault(target, []).append(1 - lacking(*pair).item())
        references = 'truths' if self._has_truth else 'sources'
        for target, correlations in found.items():
            if all(c < _EXCHANGED for c in correlations) and target not in self._exchanged:
                self._exchanged.add(target)
                shown = ', '.join(f'{c:.2f}' for c in correlations)
                runner.logger.warning(
                    f'FixedInputsHook: at iteration {runner.iter + 1} light and dark are exchanged '
                    f'in all translations to {target!r} (correlations of brightness with their '
                    f'{references} {shown}). Unless that is meant or goes away, train with another '
                    'seed or, where light is to stay light, with '
                    "more_losses=dict(brightness=dict(type='sesim_mmagic.BrightnessLoss')) or a "
                    'larger weight of it'
                )

    def _maps(self, model: Any, images: Sequence[Tensor]) -> dict[str, list[np.ndarray]]:
        """Maps of input and translation by layer, each (N, h, w); none where the loss sees none."""
        loss = model.image_losses.get('structure_loss')
        if loss is None:
            return {}
        device = model.data_preprocessor.device
        images = [to_model_range(image.to(device), loss.channel_order) for image in images]
        pair = [loss.similarity_maps(image, self.points) for image in images]
        return {k: [maps[k][0].float().cpu().numpy() for maps in pair] for k in pair[0]}

    def _rows(
        self, label: str, images: Sequence[Tensor], maps: dict[str, list[np.ndarray]]
    ) -> list[tuple]:
        """Rows of one input: one for each query or, without maps, one."""
        pictures = [to_picture(image) for image in images]
        if not maps:
            return [(label, [Cell(picture) for picture in pictures])]
        columns = [values for pair in maps.values() for values in pair]
        return [
            (label, [*(Cell(p, point) for p in pictures), *(Cell(m[n], point) for m in columns)])
            for n, point in enumerate(self.points)
        ]


@contextmanager
def _own_draws(model: nn.Module) -> Iterator[None]:
    """Draws inside are the same each time, and those of the training stay what they are."""
    devices = {p.device for p in model.parameters() if p.device.type == 'cuda'}
    with seeded_generators(0), torch.random.fork_rng(devices):
        for device in devices:  # seeded_generators leaves accelerators alone
            with torch.cuda.device(device):
                torch.cuda.manual_seed(0)
        yield
