import torch

from sesim_mmagic.utils.weights import checksum_of, differences


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


def test_a_checksum_is_that_of_the_numbers_in_their_order():
    weights = [torch.zeros(2, 3, dtype=torch.bfloat16), torch.tensor(5), torch.ones(4)]
    whole = checksum_of(weights)
    assert len(whole) == 16 and checksum_of([w.clone() for w in weights]) == whole
    strided = torch.ones(4, 2)[:, 0]
    assert checksum_of([*weights[:2], strided]) == whole
    assert checksum_of(weights[::-1]) != whole
    weights[0][1, 1] = 1
    assert checksum_of(weights) != whole
