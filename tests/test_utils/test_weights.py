import torch

from sesim_mmagic.utils.weights import differences


def test_differences_name_what_does_not_fit():
    expected = dict(a=torch.zeros(2), b=torch.zeros(3))
    assert differences(expected, expected) == []
    assert differences(expected, dict(b=torch.zeros(3, 1), c=torch.zeros(1))) == [
        "'a' is missing",
        "'c' is unknown to the model",
        "'b' has shape (3, 1), the model needs (3,)",
    ]


def test_whole_numbers_are_no_weights():
    found = differences(dict(a=torch.zeros(2)), dict(a=torch.zeros(2, dtype=torch.int64)))
    assert found == ["'a' holds torch.int64, the model needs torch.float32"]
    assert differences(dict(a=torch.zeros(2)), dict(a=torch.zeros(2, dtype=torch.float16))) == []
