"""Translate files, folders, videos and arrays with a trained model."""

import hashlib
import sys
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.infer import BaseInferencer
from rich.console import Console
from rich.progress import track
from torch import Tensor, nn

from sesim_mmagic.apis.inference import PRECISIONS, STRIP_PIXELS
from sesim_mmagic.apis.inference.forward import (
    collate,
    digest,
    is_out_of_memory,
    picture_of,
    translations,
)
from sesim_mmagic.apis.inference.inputs import Input, find_inputs, read_batches
from sesim_mmagic.apis.inference.outputs import OutputArrays, OutputFolder
from sesim_mmagic.apis.inference.videos import VideoReader, VideoWriter
from sesim_mmagic.apis.model_zoo import resolve_model
from sesim_mmagic.apis.translation import init_translator
from sesim_mmagic.engine.weights import translator_of

# A translation is to be called like a folder of others: nothing else is wrong with the disk.
_PLACE_TAKEN = IsADirectoryError, NotADirectoryError, FileExistsError


class SeSimInferencer(BaseInferencer):
    """Translates pictures and videos of any size with a translation model.

    The steps are those of MMEngine's inferencers: :meth:`preprocess` makes a batch of pictures,
    :meth:`forward` translates it, :meth:`visualize` gives 8-bit pictures, :meth:`postprocess` the
    result. Other than there, inputs are read and translations written while it runs: memory
    does not grow with their number.

    Example::

        inferencer = SeSimInferencer('iter_270000.pth')
        result = inferencer('photos', out_dir='paintings')
        painting = inferencer(cv2.imread('photo.png'))['visualization'][0]

    Args:
        model (str | Path | nn.Module): Name of a released model, file or URL of a checkpoint, or
            a translation model.
        config (str | Path | Config, optional): Config that the checkpoint was trained with.
            Defaults to None: the one that it holds.
        device (str | torch.device, optional): Where to compute. Defaults to None: the accelerator
            if there is one; of a model that is given, where it is.
        precision (str): 'float32', 'bfloat16' or, on an accelerator, 'float16', of what is safe to
            compute in it (autocast). Defaults to 'float32'.
        channels_last (bool): Store images and kernels with the channels innermost.
            Defaults to False.
        compile (bool): Compile the generators with ``torch.compile``; pays for many pictures of
            few sizes. Defaults to False.
        strip_pixels (int, optional): Pictures of more pixels are computed in strips of about so
            many, where the generator can be: the same translation, in bounded memory. None for
            never. Defaults to 2097152, a frame of full HD.
        max_image_pixels (int, optional): Pictures of more pixels are not read. Defaults to None:
            Pillow's limit, 178956970.
        show_progress (bool): Whether a terminal gets a progress bar. Defaults to True.

    Raises:
        FileNotFoundError: Checkpoint or config does not exist.
        ValueError: As :func:`init_translator` and ``resolve_model``, or a setting is wrong.
    """

    def __init__(
        self,
        model: str | Path | nn.Module,
        config: Any = None,
        device: str | torch.device | None = None,
        precision: str = 'float32',
        channels_last: bool = False,
        compile: bool = False,
        strip_pixels: int | None = STRIP_PIXELS,
        max_image_pixels: int | None = None,
        show_progress: bool = True,
    ) -> None:
        if precision not in PRECISIONS:
            raise ValueError(f"precision must be one of {', '.join(PRECISIONS)}, got '{precision}'")
        if strip_pixels is not None and strip_pixels < 1:
            raise ValueError(f'strip_pixels must be positive or None, got {strip_pixels}')
        if max_image_pixels is not None and max_image_pixels < 1:
            raise ValueError(f'max_image_pixels must be positive or None, got {max_image_pixels}')
        if not isinstance(model, nn.Module):
            model = init_translator(config, resolve_model(model), device)
        elif device is not None:
            model = model.to(device)
        self.model = translator_of(model).eval()
        self.device = next(model.parameters()).device
        if precision == 'float16' and self.device.type == 'cpu':
            raise ValueError("float16 is for accelerators, use precision='bfloat16' on the CPU")
        self.precision = precision
        self.strip_pixels = strip_pixels
        self.max_image_pixels = max_image_pixels
        self.show_progress = show_progress
        networks = model.inference_generators.values()
        if channels_last:
            model.to(memory_format=torch.channels_last)
        for part in (part for network in networks for part in network.children() if compile):
            part.compile()  # a multi-modal generator is called by its parts

    def __call__(
        self,
        inputs: Any,
        out_dir: str | Path | None = None,
        target_domain: str | None = None,
        styles: Tensor | None = None,
        batch_size: int = 1,
        overwrite: bool = False,
    ) -> dict[str, list]:
        """Translate.

        Pictures may have alpha, which their translations get back (colours are laid over white),
        an orientation, which is applied, 16 bits, one channel or a palette. Translations are
        8-bit PNG files; those of videos MP4 files without sound.

        A run that was interrupted is resumed by the same call: what is finished is skipped. An
        input that cannot be read or is too large for the memory does not keep the others from
        being translated.

        Args:
            inputs (str | Path | np.ndarray | Iterable): See
                :func:`~sesim_mmagic.apis.inference.inputs.find_inputs`.
            out_dir (str | Path, optional): Folder for the translations, named after the inputs;
                with ``styles`` each name gets ``_1``, ``_2``, ... Defaults to None: arrays are
                returned.
            target_domain (str, optional): Domain to translate into. Defaults to the model's.
            styles (Tensor, optional): Shape (N, style_channels): a multi-modal model translates
                each input into every style. Defaults to None: one translation.
            batch_size (int): Most pictures of one size that are computed together: neighbours in
                a folder, frames of a video. Defaults to 1.
            overwrite (bool): Whether to translate again what ``out_dir`` holds already.
                Defaults to False.

        Returns:
            dict: ``predictions``: for each input a dictionary of ``source``, ``status``
            ('translated', 'skipped' or 'failed'), ``outputs`` (files), ``reason`` (of a failure,
            otherwise None). ``visualization``: without ``out_dir`` for each input the translation
            (H, W, 3) or (H, W, 4), uint8, BGR, with ``styles`` a list of them; None of failures.
            ``left_out``: a line for each folder of which files were left out, and which.

        Raises:
            FileNotFoundError: An input does not exist.
            OSError: The output folder cannot be written to, or the disk is full.
            ValueError: An argument does not fit the model, or ``out_dir`` holds translations of
                another model, with other settings or of other sources.
        """
        if batch_size < 1:
            raise ValueError(f'batch_size must be positive, got {batch_size}')
        count = None if styles is None else len(styles)
        target = self.model.check_target(target_domain)
        if styles is not None:
            self._check_styles(styles)
        found = find_inputs(inputs, out_dir)
        if out_dir is None:
            outputs = OutputArrays(count)
        else:
            made_by = self._made_by(target, styles)
            outputs = OutputFolder(out_dir, made_by, count, overwrite)
        remaining = outputs.remaining(found)
        tracked = self._tracked(remaining)
        for batch in read_batches(tracked, batch_size, outputs.fail, self.max_image_pixels):
            if batch[0].one.is_video:
                self._translate_video(batch[0].one, target, styles, batch_size, outputs)
            else:
                self._translate_batch(batch, target, styles, outputs)
        return dict(self.postprocess(found, outputs, remaining), left_out=found.notes)

    # ------------------------------------------------------------------- steps

    def preprocess(self, pictures: Sequence[np.ndarray], target: str) -> dict:
        """A batch of pictures (H, W, 3) of one size, uint8, BGR, as the model takes it."""
        return collate(self.model, pictures, self.model.domains[target])

    def forward(self, data: dict, target: str, styles: Tensor | None = None) -> Iterator[Tensor]:
        """Translate a batch into the next few styles, then the next.

        Args:
            data (dict): Result of :meth:`preprocess`.
            target (str): Domain to translate into.
            styles (Tensor, optional): See :meth:`__call__`.

        Yields:
            Tensor: Shape (B, n, 3, H, W), values in [-1, 1].
        """
        parts = translations(self.model, data, target, styles, self.strip_pixels)
        kind, dtype = self.device.type, getattr(torch, self.precision)
        while True:
            # What asks for the parts is to go on in its own precision.
            with torch.autocast(kind, dtype, enabled=dtype != torch.float32):
                part = next(parts, None)
            if part is None:
                return
            yield part

    def visualize(
        self, data: dict, parts: Iterator[Tensor], target: str
    ) -> Iterator[tuple[int, int, np.ndarray]]:
        """Make 8-bit pictures of what :meth:`forward` gives.

        Yields:
            tuple[int, int, np.ndarray]: Number in the batch, number of the style, picture
            (H, W, 3), uint8, BGR.
        """
        style = 0
        for part in parts:
            for index, images in enumerate(part):
                for i, image in enumerate(images):
                    yield index, style + i, picture_of(self.model, data, index, image, target)
            style += part.shape[1]

    def postprocess(
        self,
        inputs: Sequence[Input],
        outputs: OutputFolder | OutputArrays,
        remaining: Sequence[Input],
    ) -> dict[str, list]:
        """What :meth:`__call__` returns of the inputs."""
        new, predictions = set(remaining), []
        for one in inputs:
            reason = outputs.failures.get(one)
            status = 'skipped' if one not in new else 'failed' if reason else 'translated'
            files = [] if reason else [str(file) for file in outputs.files(one)]
            predictions.append(dict(source=str(one), status=status, outputs=files, reason=reason))
        return dict(predictions=predictions, visualization=outputs.pictures(inputs))

    def _init_pipeline(self, cfg: Any) -> None:
        """Reading is the inputs' own; MMEngine asks for this method."""

    # ----------------------------------------------------------------- details

    def _check_styles(self, styles):
        from sesim_mmagic.translators.styles import styles_of_images  # imports much of MMagic

        self.model.check_styled()
        styles_of_images(styles, 1, self.model.style_channels)
        if styles.dim() != 2:
            raise ValueError(f'styles must have the shape (N, S), got {tuple(styles.shape)}')

    def _made_by(self, target, styles):
        """What shapes translations, apart from rounding."""
        model = digest(self.model.inference_generators.values())
        made_by = dict(model=model, target_domain=target, precision=self.precision)
        if styles is not None:
            numbers = styles.detach().float().cpu().contiguous().numpy()
            made_by['styles'] = hashlib.sha256(numbers.tobytes()).hexdigest()
        elif self.model.style_channels:
            made_by['seed'] = self.model.seed
        return made_by

    def _translate_batch(self, batch, target, styles, outputs):
        """Translate pictures of one size; one by one if they are too large together."""
        try:
            for read in batch:
                outputs.begin(read.one)
            data = self.preprocess([read.picture for read in batch], target)
            parts = self.forward(data, target, styles)
            for index, style, picture in self.visualize(data, parts, target):
                outputs.put(batch[index].one, style, batch[index].with_alpha(picture))
            return
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            if len(batch) == 1:
                outputs.fail(batch[0].one, _memory_reason(batch[0].picture, error))
        except _PLACE_TAKEN as error:
            if len(batch) == 1:
                outputs.fail(batch[0].one, str(error))
        for read in batch if len(batch) > 1 else ():
            self._translate_batch([read], target, styles, outputs)

    def _translate_video(self, video, target, styles, batch_size, folder):
        writers = []
        try:
            folder.begin(video)
            reader = VideoReader(video.content)
            writers = [VideoWriter(file, reader.fps) for file in folder.files(video)]
            frames = iter(reader)
            while group := list(islice(frames, batch_size)):
                data = self.preprocess(group, target)
                parts = self.forward(data, target, styles)
                for _, style, picture in self.visualize(data, parts, target):
                    writers[style].write(picture)
            for writer in writers:
                writer.finish()
        except (ValueError, *_PLACE_TAKEN) as error:
            folder.fail(video, str(error))
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            folder.fail(video, _memory_reason(group[0], error))
        finally:
            for writer in writers:
                writer.discard()

    def _tracked(self, inputs):
        is_shown = self.show_progress and sys.stderr.isatty()
        console = Console(stderr=True)
        return track(inputs, 'translating', console=console, disable=not is_shown)


def _memory_reason(picture, error):
    height, width = picture.shape[:2]
    return (
        f'{width} x {height} pixels are too many for the memory: lower strip_pixels, or make the '
        f'picture smaller ({str(error).splitlines()[0]})'
    )
