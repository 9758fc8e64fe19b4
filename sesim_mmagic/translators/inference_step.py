"""One batch of a test or validation through a translation model."""

from collections.abc import Sequence

import torch
from mmagic.structures import DataSample
from torch import Tensor

from sesim_mmagic.utils.samples import is_repeated


class InferenceStep:
    """``test_step`` and ``val_step`` of every translation model here, MMagic's included.

    A subclass has what MMagic's ``BaseTranslationModel`` has, :meth:`source_of` and
    :meth:`_test_outputs`.
    """

    def source_of(self, target: str) -> str:
        """The domain that is translated into ``target``."""
        raise NotImplementedError

    def _test_outputs(
        self, images: Tensor, target: str, samples: Sequence[DataSample]
    ) -> dict[str, Tensor]:
        """Translations of source images by the name they leave under, shapes (B, ..., 3, H, W)."""
        raise NotImplementedError

    @torch.no_grad()
    def test_step(self, data: dict) -> list[DataSample]:
        """Translate a batch; images of a domain that is not translated are not needed.

        Pictures of several sizes go through the model size by size, unpadded: each translation
        is that of its picture alone. Pictures that stand in an earlier sample of the test set
        are not translated again (see :func:`~sesim_mmagic.utils.samples.is_repeated`).

        Args:
            data (dict): A batch: ``inputs`` with ``img_{domain}`` of the sources,
                ``data_samples``.

        Returns:
            list[DataSample]: The samples with ``fake_{domain}`` added for each domain translated
            into: shape (3, H, W), BGR, values in [0, 255].
        """
        outputs: dict[int, DataSample] = {}
        for numbers in equal_sizes(data['inputs']):
            outputs.update(
                zip(numbers, self._translate_samples(part_of(data, numbers)), strict=True)
            )
        return [outputs[number] for number in sorted(outputs)]

    val_step = test_step

    def _translate_samples(self, data: dict) -> list[DataSample]:
        """Translate a batch of pictures of one size."""
        data = self.data_preprocessor(data)
        samples = data['data_samples'].split()
        outputs = []
        for sample in samples:
            outputs.append(DataSample())
            outputs[-1].update(sample)
        for target in self._reachable_domains:
            source = self.source_of(target)
            source_key = f'img_{source}'
            if source_key not in data['inputs'] and len(self._reachable_domains) > 1:
                continue
            chosen = [i for i, sample in enumerate(samples) if not is_repeated(sample, source)]
            if not chosen:
                continue
            images = data['inputs'][source_key]
            images = images if len(chosen) == len(samples) else images[chosen]
            found = self._test_outputs(images, target, [samples[i] for i in chosen])
            for name, translated in found.items():
                for i, image in zip(chosen, translated, strict=True):
                    picture = self._as_picture(image, samples[i], source_key)
                    outputs[i].set_tensor_data({name: picture})
        return outputs

    def _as_picture(self, image: Tensor, sample: DataSample, source_key: str) -> Tensor:
        """Values in [0, 255], BGR; the source's channel order and padding are inherited."""
        if image.dim() > 3:
            return torch.stack([self._as_picture(i, sample, source_key) for i in image])
        return self.data_preprocessor.destruct(image, sample, source_key)


def equal_sizes(inputs: dict[str, Sequence[Tensor]]) -> list[list[int]]:
    """Numbers of the samples whose pictures have the same sizes, in the order of the batch."""
    groups: dict[tuple, list[int]] = {}
    for number, images in enumerate(zip(*inputs.values(), strict=True)):
        groups.setdefault(tuple(image.shape for image in images), []).append(number)
    return list(groups.values())


def part_of(data: dict, numbers: Sequence[int]) -> dict:
    """The samples of these numbers of a batch; the batch itself where they are all of it."""
    inputs, samples = data['inputs'], data['data_samples']
    if len(numbers) == len(samples):
        return data
    return dict(
        inputs={key: [images[i] for i in numbers] for key, images in inputs.items()},
        data_samples=[samples[i] for i in numbers],
    )
