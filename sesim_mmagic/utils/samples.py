"""What a sample of a test says of itself."""

from collections.abc import Mapping
from typing import Any

_ENDING = '_repeated'


def is_repeated(sample: Mapping[str, Any], domain: str | None) -> bool:
    """Whether a sample's picture of a domain stands in an earlier sample of the dataset, too.

    Where two folders differ in size, a test set begins the smaller one again. Its dataset marks
    these pictures as ``img_{domain}_repeated``: they are not translated, and count nowhere.

    Args:
        sample (Mapping): A ``DataSample``, or the dictionary that an evaluator makes of one.
        domain (str, optional): Domain of the picture; None for no domain.
    """
    return domain is not None and bool(sample.get(f'img_{domain}{_ENDING}', False))


def has_repeated(sample: Any) -> bool:
    """Whether any picture of a ``DataSample`` stands in an earlier sample, too."""
    return any(key.endswith(_ENDING) and sample.get(key) for key in sample.all_keys())
