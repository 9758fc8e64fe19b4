"""The end of a pipeline: pictures become the named inputs of a model."""

from mmagic.structures import DataSample
from mmagic.utils import all_to_tensor
from mmcv.transforms import BaseTransform

from sesim_mmagic.registry import TRANSFORMS


@TRANSFORMS.register_module()
class PackDomains(BaseTransform):
    """Names the pictures of the folders A and B after their domains.

    MMagic does this with a ``KeyMapper`` and a ``PackInputs``, whose key lists every config
    repeats; and ``PackInputs`` drops the name when there is a single picture.

    Args:
        A (str): Domain of the pictures in trainA and testA.
        B (str): Domain of the pictures in trainB and testB.
    """

    def __init__(self, A: str, B: str) -> None:
        if A == B:
            raise ValueError(f'PackDomains: A and B must be two domains, got {A!r} twice')
        self.domains = {'img_A': f'img_{A}', 'img_B': f'img_{B}'}

    def transform(self, results: dict) -> dict:
        """Pack the pictures that were loaded.

        Args:
            results (dict): With ``img_A``, ``img_B`` or both: arrays (H, W, 3), BGR, uint8.

        Returns:
            dict: ``inputs``: tensors (3, H, W) under ``img_{domain}``; ``data_samples`` with the
            same tensors and, as meta information, ``img_{domain}_path`` and what else is known.
        """
        pictures, meta = {}, {}
        for key, name in self.domains.items():
            if key in results:
                pictures[name] = all_to_tensor(results[key])
                known = {k: v for k, v in results.items() if k.startswith(f'{key}_')}
                meta.update({name + k[len(key) :]: value for k, value in known.items()})
        data_sample = DataSample(metainfo=meta)
        data_sample.set_tensor_data(pictures)
        return dict(inputs=dict(pictures), data_samples=data_sample)
