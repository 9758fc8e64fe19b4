"""Translate files, folders, videos and arrays with a trained model."""

import sys
import warnings
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, nullcontext
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.progress import track
from torch import Tensor, nn

from sesim_mmagic.apis.inference import PRECISIONS, STRIP_PIXELS
from sesim_mmagic.apis.inference.forward import collate, translations
from sesim_mmagic.apis.inference.inputs import Input, Read, find_inputs, read_batches
from sesim_mmagic.apis.inference.loading import check_device, init_translator
from sesim_mmagic.apis.inference.outputs import Outputs, reason_of
from sesim_mmagic.apis.inference.videos import read_video, video_writer
from sesim_mmagic.apis.model_zoo import resolve_model
from sesim_mmagic.engine.models import translator_of
from sesim_mmagic.engine.pictures import to_picture
from sesim_mmagic.networks.fast_convolutions import FastConvolutions
from sesim_mmagic.translators.styles import styles_of_images
from sesim_mmagic.utils.weights import checksum_of


class SeSimInferencer:
    """Translates pictures and videos of any size with a translation model.

    Inputs are read and translations written while it computes: memory does not grow with their
    number.

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
        channels_last (bool, optional): Store images with the channels innermost. Defaults to None:
            on the CPU, where that takes less time.
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
        channels_last: bool | None = None,
        compile: bool = False,
        strip_pixels: int | None = STRIP_PIXELS,
        max_image_pixels: int | None = None,
        show_progress: bool = True,
    ) -> None:
        if precision not in PRECISIONS:
            raise ValueError(f"precision must be one of {', '.join(PRECISIONS)}, got '{precision}'")
        for name, value in dict(strip=strip_pixels, max_image=max_image_pixels).items():
            if value is not None and value < 1:
                raise ValueError(f'{name}_pixels must be positive or None, got {value}')
        if not isinstance(model, nn.Module):
            model = init_translator(config, resolve_model(model), device)
        elif device is not None:
            check_device(device)
            model = model.to(device)
        self.model = translator_of(model).eval()
        self.device = next(model.parameters()).device
        if precision == 'float16' and self.device.type == 'cpu':
            raise ValueError("float16 is for accelerators, use precision='bfloat16' on the CPU")
        self.precision = precision
        self.strip_pixels = strip_pixels
        self.max_image_pixels = max_image_pixels
        self.show_progress = show_progress
        if channels_last is None:
            channels_last = self.device.type == 'cpu'
        self.memory_format = torch.channels_last if channels_last else torch.contiguous_format
        self.compile = compile
        if compile:
            for network in self.model.inference_generators.values():
                for part in network.children():  # a multi-modal generator is called by its parts
                    part.compile()

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

        A run that was interrupted is resumed by the same call: what is finished is skipped. A
        file that cannot be read, or a picture too large for the memory, does not keep the others
        from being translated; without ``out_dir`` a warning counts what failed.

        Args:
            inputs (str | Path | np.ndarray | Iterable): See
                :func:`~sesim_mmagic.apis.inference.inputs.find_inputs`.
            out_dir (str | Path, optional): Folder for the translations, named after the inputs;
                with ``styles`` each name gets ``_1``, ``_2``, ... Defaults to None: arrays are
                returned.
            target_domain (str, optional): Domain to translate into. Defaults to the model's.
            styles (Tensor, optional): Shape (N, style_channels), as of :meth:`encode_style` or
                ``draw_styles``: a multi-modal model translates each input into every style.
                Defaults to None: one translation.
            batch_size (int): Most pictures of one size that are computed together: neighbours in
                a folder, frames of a video. Defaults to 1.
            overwrite (bool): Whether to translate again what ``out_dir`` holds already.
                Translations by another model or other settings are removed, those of other inputs
                too. Defaults to False.

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
        target = self.model.check_target(target_domain)
        if styles is not None:
            self.model.check_styled()
            styles_of_images(styles, 1, self.model.style_channels)
            if styles.dim() != 2:
                raise ValueError(f'styles must have the shape (N, S), got {tuple(styles.shape)}')
        items, left_out = find_inputs(inputs, out_dir)
        made_by = {} if out_dir is None else self._made_by(target, styles)
        number = None if styles is None else len(styles)
        outputs = Outputs(out_dir, items, made_by, number, overwrite)
        is_shown = self.show_progress and sys.stderr.isatty()
        console = Console(stderr=True)
        remaining = sorted(outputs.remaining, key=lambda item: item.is_video)
        tracked = iter(track(remaining, 'translating', console=console, disable=not is_shown))
        pictures = islice(tracked, sum(not item.is_video for item in remaining))
        fast = nullcontext() if self.compile else FastConvolutions()
        with fast, ThreadPoolExecutor() as threads:
            limit = self.max_image_pixels
            batches = read_batches(pictures, batch_size, outputs.fail, threads, limit)
            translated = self._translate_batches(batches, target, styles, outputs)
            outputs.write(translated, threads, batch_size)
            for video in tracked:
                self._translate_video(video, target, styles, batch_size, outputs)
        visualization = [] if out_dir is not None else [outputs.arrays(item) for item in items]
        predictions = outputs.predictions(items)
        failed = [found for found in predictions if found['reason']]
        if out_dir is None and failed:
            first = f'{failed[0]["source"]}: {failed[0]["reason"]}'
            warnings.warn(f'{len(failed)} of {len(items)} not translated, {first}', stacklevel=2)
        return dict(predictions=predictions, visualization=visualization, left_out=left_out)

    def encode_style(self, picture: str | Path | np.ndarray, domain: str | None = None) -> Tensor:
        """Read the style of a picture of the target domain.

        Args:
            picture (str | Path | np.ndarray): File or array of any size.
            domain (str, optional): Its domain. Defaults to the model's first target.

        Returns:
            Tensor: Shape (style_channels,), on the CPU.

        Raises:
            FileNotFoundError: The file does not exist.
            ValueError: It is no picture, or the model has no styles or does not know the domain.
        """
        self.model.check_styled()
        domain = self.model.check_target(domain)
        content = picture if isinstance(picture, np.ndarray) else Path(picture)
        array, _ = Input(content, Path()).read(self.max_image_pixels)
        images = collate(self.model, [array], domain)['inputs'][f'img_{domain}']
        return self.model.encode_style(images, domain)[0].cpu()

    def _made_by(self, target: str, styles: Tensor | None) -> dict[str, Any]:
        """What shapes translations, apart from rounding."""
        model = checksum_of(self.model.inference_generators.state_dict().values())
        made_by: dict[str, Any] = dict(model=model, target_domain=target, precision=self.precision)
        if styles is not None:
            made_by['styles'] = styles.tolist()
        elif self.model.style_channels:
            made_by['seed'] = self.model.seed
        return made_by

    @torch.no_grad()
    def _translate(
        self, pictures: Sequence[np.ndarray], target: str, styles: Tensor | None
    ) -> Iterator[tuple[int, int, np.ndarray]]:
        """Translate pictures (H, W, 3) of one size, uint8, BGR.

        Yields:
            tuple[int, int, np.ndarray]: Number of the picture, number of the style, translation
            (H, W, 3), uint8, BGR.
        """
        source = self.model.domains[target]
        data, key = collate(self.model, pictures, source), f'img_{source}'
        samples, images = data['data_samples'].split(), data['inputs'][key]
        images = images.contiguous(memory_format=self.memory_format)
        dtype, first = getattr(torch, self.precision), 0
        parts = translations(self.model, images, target, styles, self.strip_pixels)
        while True:
            # What asks for the translations is to go on in its own precision.
            with torch.autocast(self.device.type, dtype, enabled=dtype != torch.float32):
                part = next(parts, None)
            if part is None:
                return
            for index, translated in enumerate(part):
                for style, image in enumerate(translated, start=first):
                    image = self.model.data_preprocessor.destruct(image, samples[index], key)
                    yield index, style, to_picture(image)
            first += part.shape[1]

    def _translate_batches(
        self,
        batches: Iterable[list[Read]],
        target: str,
        styles: Tensor | None,
        outputs: Outputs,
    ) -> Iterator[tuple[Read, int, np.ndarray]]:
        """Translate pictures, those of a batch one by one if they cannot be together."""
        for batch in batches:
            try:
                pictures = [read.picture for read in batch]
                for index, style, picture in self._translate(pictures, target, styles):
                    yield batch[index], style, picture
            except Exception as error:
                reason = reason_of(error, batch[0].picture)
                if reason is None:
                    raise
                if len(batch) == 1:
                    outputs.fail(batch[0].item, reason)
                else:
                    alone = ([read] for read in batch)
                    yield from self._translate_batches(alone, target, styles, outputs)

    def _translate_video(
        self, video: Input, target: str, styles: Tensor | None, size: int, outputs: Outputs
    ) -> None:
        assert isinstance(video.content, Path)
        group: list[np.ndarray] = []
        try:
            fps, frames = read_video(video.content)
            with ExitStack() as stack:
                files = outputs.files(video)
                write = [stack.enter_context(video_writer(file, fps)) for file in files]
                while group := list(islice(frames, size)):
                    for _, style, picture in self._translate(group, target, styles):
                        write[style](picture)
        except (ValueError, FileNotFoundError) as error:  # it is damaged, or gone
            outputs.fail(video, str(error))
        except Exception as error:
            reason = reason_of(error, *group[:1])
            if reason is None:
                raise
            outputs.fail(video, reason)
