"""The end of a pipeline: pictures become the named inputs of a model."""

from mmagic.structures import DataSample
from mmagic.utils import all_to_tensor
from mmcv.transforms import BaseTransform

from sesim_mmagic.registry import TRANSFORMS


@TRANSFORMS.register_module()
class PackDomains(BaseTransform):
    """Names the pictures of the folders A and B, and views of them, after their domains.

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
            results (dict): With ``img_A``, ``img_B`` or both: arrays (H, W, 3), BGR, uint8. They
                may have views ``img_A_aug``, ``img_B_aug`` (see ``AppearanceView``).

        Returns:
            dict: ``inputs``: a dict of tensors (3, H, W) under ``img_{domain}`` and, where there
            are views, ``img_{domain}_aug``; ``data_samples`` with the tensors of the pictures
            and, as meta information, ``img_{domain}_path`` and what else is known of them.
        """
        pictures, views, meta = {}, {}, {}
        for key, name in self.domains.items():
            if key not in results:
                continue
            known = {k[len(key) :]: v for k, v in results.items() if k.startswith(f'{key}_')}
            pictures[name] = all_to_tensor(results[key])
            if '_aug' in known:
                views[f'{name}_aug'] = all_to_tensor(known.pop('_aug'))
            meta.update({name + ending: value for ending, value in known.items()})
        data_sample = DataSample(metainfo=meta)
        data_sample.set_tensor_data(pictures)
        return dict(inputs={**pictures, **views}, data_samples=data_sample)
