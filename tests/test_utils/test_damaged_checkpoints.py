"""Damaged checkpoints are refused in one line, or load what was saved."""

import collections
import io
import os
import pickle
import random
import struct
import zipfile

import numpy as np
import pytest
import torch

from sesim_mmagic.utils.checkpoints import read_checkpoint, read_weights

SEED = 20260101
# Of each kind; SESIM_FUZZ=50 takes more of them.
ROUNDS = int(os.environ.get('SESIM_FUZZ', 8))


def content():
    generator = torch.Generator().manual_seed(SEED)

    def draw(*shape):
        return torch.randn(*shape, generator=generator)

    weights = {f'generators.b.model.{i}.weight': draw(4, 3, 3, 3) for i in range(3)}
    weights.update({f'generators.b.model.{i}.bias': draw(4) for i in range(3)})
    weights['generator_ema.steps'] = torch.tensor(7)
    moments = {i: dict(exp_avg=draw(4), step=torch.tensor(7.0)) for i in range(3)}
    return dict(
        meta=dict(cfg="model = dict(type='X')\n", iter=7, epoch=0, time='20260101_000000'),
        state_dict=collections.OrderedDict(weights),
        optimizer=dict(state=moments, param_groups=[dict(lr=0.1, params=[0, 1, 2])]),
    )


def saved(value, **options):
    file = io.BytesIO()
    torch.save(value, file, **options)
    return file.getvalue()


WHOLE = saved(content())
LEGACY = saved(content(), _use_new_zipfile_serialization=False)


# ---- damage: a function of bytes and a random generator that gives bytes -----------------------


def truncated(data, rng):
    return data[: rng.randrange(len(data))]


def lengthened(data, rng):
    return data + rng.randbytes(rng.choice([1, 22, 1000]))


def preceded(data, rng):
    return rng.randbytes(rng.choice([1, 4, 100])) + data


def bit_flipped(data, rng, start=0, end=None):
    found = bytearray(data)
    found[rng.randrange(start, end or len(data))] ^= 1 << rng.randrange(8)
    return bytes(found)


def byte_replaced(data, rng):
    found = bytearray(data)
    found[rng.randrange(len(data))] = rng.randrange(256)
    return bytes(found)


def block_zeroed(data, rng):
    place, length = rng.randrange(len(data)), rng.choice([4, 64, 512])
    return data[:place] + bytes(length) + data[place + length :]


def block_removed(data, rng):
    place, length = rng.randrange(len(data)), rng.choice([1, 4, 64])
    return data[:place] + data[place + length :]


def block_doubled(data, rng):
    place, length = rng.randrange(len(data)), rng.choice([1, 4, 64])
    return data[: place + length] + data[place:]


def blocks_swapped(data, rng):
    first, second = sorted(rng.sample(range(0, len(data) - 64, 64), 2))
    blocks = data[first : first + 64], data[second : second + 64]
    return b''.join(
        [data[:first], blocks[1], data[first + 64 : second], blocks[0], data[second + 64 :]]
    )


def directory_flipped(data, rng):
    return bit_flipped(data, rng, data.rfind(b'PK\x05\x06') - 700)


def end_flipped(data, rng):
    return bit_flipped(data, rng, len(data) - 120)


def pickle_flipped(data, rng):
    start = data.find(b'data.pkl')
    return bit_flipped(data, rng, start, start + 1500)


def size_declared(data, rng):
    """Another size of a part, as in a file that unpacks to more than the memory."""
    found, place = bytearray(data), data.find(b'PK\x01\x02')
    struct.pack_into(
        '<I', found, place + rng.choice([20, 24, 42]), rng.choice([0, 2**31, 2**32 - 1])
    )
    return bytes(found)


ON_BYTES = [
    *(truncated, lengthened, preceded, bit_flipped, byte_replaced, block_zeroed, block_removed),
    *(block_doubled, blocks_swapped, directory_flipped, end_flipped, pickle_flipped, size_declared),
]


def repacked(change, **options):
    """The archive written anew, with correct checksums, its parts changed."""

    def damage(data, rng):
        file = io.BytesIO()
        with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(file, 'w', **options) as new:
            parts = change([(name, old.read(name)) for name in old.namelist()], rng)
            for name, part in parts:
                new.writestr(name, part)
        return file.getvalue()

    damage.__name__ = change.__name__
    return damage


def part_left_out(parts, rng):
    parts.pop(rng.randrange(len(parts)))
    return parts


def part_there_twice(parts, rng):
    name, part = rng.choice(parts)
    return [*parts, (name, bytes(len(part)))]


def parts_exchanged(parts, rng):
    tensors = [i for i, (name, _) in enumerate(parts) if '/data/' in name]
    a, b = rng.sample(tensors, 2)
    parts[a], parts[b] = (parts[a][0], parts[b][1]), (parts[b][0], parts[a][1])
    return parts


def part_shortened(parts, rng):
    place = rng.choice([i for i, (name, _) in enumerate(parts) if '/data/' in name])
    name, part = parts[place]
    parts[place] = name, part[: len(part) // 2]
    return parts


def pickle_damaged(parts, rng):
    kinds = bit_flipped, block_removed, block_doubled, truncated
    return [(n, rng.choice(kinds)(p, rng) if n.endswith('.pkl') else p) for n, p in parts]


def names_changed(parts, rng):
    return [(name.replace('archive', 'other/..', rng.randrange(2)), part) for name, part in parts]


def compressed(parts, rng):
    return parts


REPACKED = [
    *map(repacked, (part_left_out, part_there_twice, pickle_damaged, names_changed)),
    *map(repacked, (parts_exchanged, part_shortened)),
    repacked(compressed, compression=zipfile.ZIP_DEFLATED),
]
# Whose checksums are right, so that what they hold may be another thing than was saved.
NEW_CONTENT = {'parts_exchanged', 'pickle_damaged'}


def same(found, expected):
    """Equality of nested content, with tensors in it."""
    if isinstance(expected, torch.Tensor):
        return isinstance(found, torch.Tensor) and torch.equal(found, expected)
    if isinstance(expected, dict):
        return found.keys() == expected.keys() and all(
            same(found[key], value) for key, value in expected.items()
        )
    if isinstance(expected, list):
        return len(found) == len(expected) and all(map(same, found, expected))
    return found == expected


def read_or_refuse(path, data):
    """What is in a file; None if it was refused, in one line that names it."""
    path.write_bytes(data)
    try:
        return read_checkpoint(path)
    except ValueError as error:
        message = str(error)
    assert message.startswith(f"Checkpoint '{path}' cannot be read: ") and message.isprintable()
    assert 'weights_only' not in message and len(message) < 400
    return None


@pytest.mark.filterwarnings('ignore:Duplicate name')
@pytest.mark.parametrize('damage', [*ON_BYTES, *REPACKED], ids=lambda damage: damage.__name__)
def test_damage_is_refused_or_changes_nothing(damage, tmp_path):
    rng = random.Random(f'{SEED} {damage.__name__}')
    for _ in range(2 * ROUNDS):
        found = read_or_refuse(tmp_path / 'x.pth', damage(WHOLE, rng))
        if found is not None and damage.__name__ not in NEW_CONTENT:
            assert same(found, content())


@pytest.mark.parametrize('damage', ON_BYTES[:-4], ids=lambda damage: damage.__name__)
def test_damage_of_files_without_checksums_is_one_line(damage, tmp_path):
    rng = random.Random(f'{SEED} {damage.__name__}')
    for _ in range(ROUNDS):
        read_or_refuse(tmp_path / 'x.pth', damage(LEGACY, rng))


def test_every_bit_of_a_weight_counts(tmp_path):
    weight = content()['state_dict']['generators.b.model.0.bias'].numpy().tobytes()
    place = WHOLE.find(weight)
    for bit in range(8 * len(weight)):
        changed = bytearray(WHOLE)
        changed[place + bit // 8] ^= 1 << bit % 8
        assert read_or_refuse(tmp_path / 'x.pth', bytes(changed)) is None


def test_every_bit_of_the_headers_of_a_part_counts_or_changes_nothing(tmp_path):
    name = b'archive/data/2'
    for header in (WHOLE.find(name) - 30, WHOLE.rfind(name) - 46):
        for bit in range(8 * (WHOLE.find(name, header) + len(name) - header)):
            changed = bytearray(WHOLE)
            changed[header + bit // 8] ^= 1 << bit % 8
            found = read_or_refuse(tmp_path / 'x.pth', bytes(changed))
            assert found is None or same(found, content()), (header, bit)


def test_a_part_that_is_marked_as_a_folder_is_refused(tmp_path):
    """For it torch gives memory that nobody wrote to."""
    changed = bytearray(WHOLE)
    changed[WHOLE.rfind(b'archive/data/2') - 46 + 38] ^= 0x10
    assert read_or_refuse(tmp_path / 'x.pth', bytes(changed)) is None


class Code:
    """Unpickled, it calls a function."""

    def __init__(self, *call):
        self.call = call

    def __reduce__(self):
        return self.call[0], self.call[1:]


class Unknown:
    pass


def looped():
    found = dict(state_dict={})
    found['state_dict']['w'] = found
    return found


def nested(depth, value=None):
    for _ in range(depth):
        value = [value]
    return value


ONE = torch.ones(1)
WRONG = {
    'a list': [ONE],
    'a tensor': ONE,
    'None': None,
    'text': 'weights',
    'no weights': dict(state_dict=None),
    'weights in a list': dict(state_dict=[ONE]),
    'weights as text': dict(state_dict='x'),
    'no state_dict': dict(meta={}, optimizer={}),
    'meta of another kind': dict(meta=[1], state_dict={}),
    'an iteration that is text': dict(meta=dict(iter='7'), state_dict={}),
    'a negative iteration': dict(meta=dict(iter=-1), state_dict={}),
    'an epoch that is a flag': dict(meta=dict(epoch=True), state_dict={}),
    'itself': looped(),
    'a name that is a number': {3: ONE},
    'a name that is a tuple': {('a', 'b'): ONE},
    'text for a weight': dict(w='x'),
    'a number for a weight': dict(w=1.0),
    'None for a weight': dict(w=None),
    'a list for a weight': dict(w=[1.0]),
    'a dictionary for a weight': dict(w=dict(w=ONE)),
    'NaN': dict(w=torch.tensor([1.0, float('nan')])),
    'infinity': dict(w=torch.tensor([1.0, float('inf')])),
    'NaN in half precision': dict(w=torch.tensor([float('nan')], dtype=torch.bfloat16)),
    'a sparse weight': dict(w=torch.eye(3).to_sparse()),
    'a compressed sparse weight': dict(w=torch.eye(3).to_sparse_csr()),
    'a complex weight': dict(w=torch.ones(2, dtype=torch.complex64)),
    'a quantized weight': dict(w=torch.quantize_per_tensor(torch.ones(3), 0.1, 0, torch.qint8)),
    'a weight without values': dict(w=torch.ones(3, device='meta')),
    'a weight of 8 bits': dict(w=torch.ones(3).to(torch.float8_e4m3fn)),
    'one number as a million million': dict(w=ONE.expand(10**6, 10**6)),
    'a moment that is one number a million times': dict(state_dict={}, o=[ONE.expand(10**6)]),
    'a sparse moment': dict(state_dict={}, optimizer=dict(state=torch.eye(3).to_sparse())),
    'a call': dict(w=Code(os.system, 'exit 1')),
    'a call beside the weights': dict(state_dict={}, message_hub=Code(os.system, 'exit 1')),
    'eval': dict(w=Code(eval, '1')),
    'getattr': dict(w=Code(getattr, os, 'system')),
    'an import': dict(w=Code(__import__, 'os')),
    'an object of a class of its own': dict(w=Unknown()),
    'a function': dict(w=os.getcwd),
    'a deque': dict(w=collections.deque([1])),
    'too much memory': dict(w=Code(bytearray, 2**62)),
    'an array for a weight': dict(w=np.zeros(3)),
}


@pytest.mark.parametrize('legacy', [False, True])
@pytest.mark.parametrize('name', WRONG)
@pytest.mark.filterwarnings('ignore:.*(beta|quant|deprecated)')
def test_what_is_no_checkpoint_is_refused(name, legacy, tmp_path):
    try:
        data = saved(WRONG[name], _use_new_zipfile_serialization=not legacy)
    except (RuntimeError, pickle.PicklingError, TypeError):
        pytest.skip('torch does not write it')
    assert read_or_refuse(tmp_path / 'x.pth', data) is None


def test_what_could_run_is_named_and_no_advice_is_given(tmp_path):
    path = tmp_path / 'x.pth'
    torch.save(dict(w=Code(os.system, 'exit 1')), path)
    with pytest.raises(ValueError, match=r"objects that could run code \('posix\.system'\)"):
        read_checkpoint(path)


def test_what_is_no_archive_is_refused(tmp_path):
    for data in (b'', b'P', b'PK\3\4', b'\x80', b'\x80\2]q\0.', b'<html>', b'0' * 999):
        assert read_or_refuse(tmp_path / 'x.pth', data) is None


def test_shapes_that_are_declared_and_not_there(tmp_path):
    """The pickle asks for another size than its storage has."""
    with zipfile.ZipFile(io.BytesIO(saved(dict(w=torch.ones(77, 3))))) as old:
        parts = {name: old.read(name) for name in old.namelist()}
    name = next(name for name in parts if name.endswith('data.pkl'))
    for size in (b'K\xff', b'M\xff\xff', b'J\xff\xff\xff\x7f', b'\x8a\x08' + b'\xff' * 7 + b'\x7f'):
        changed = dict(parts, **{name: parts[name].replace(b'K\x4dK\3', size + b'K\3')})
        assert changed != parts
        file = io.BytesIO()
        with zipfile.ZipFile(file, 'w') as new:
            for key, part in changed.items():
                new.writestr(key, part)
        assert read_or_refuse(tmp_path / 'x.pth', file.getvalue()) is None


def test_nesting_without_end_is_read_or_refused(tmp_path):
    data = b'\x80\2}q\0(X\x01\0\0\0xq\1' + b'(' * 10**5 + b't' * 10**5 + b'X\x01\0\0\0wq\2Nu.'
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(WHOLE)) as old, zipfile.ZipFile(file, 'w') as new:
        for name in old.namelist():
            new.writestr(name, data if name.endswith('.pkl') else old.read(name))
    read_or_refuse(tmp_path / 'x.pth', file.getvalue())


@pytest.mark.parametrize('data', [WHOLE, LEGACY], ids=['archive', 'legacy'])
def test_what_is_whole_is_read(data, tmp_path):
    assert same(read_or_refuse(tmp_path / 'x.pth', data), content())
    assert list(read_weights(tmp_path / 'x.pth')) == list(content()['state_dict'])


def test_only_files_are_read(tmp_path):
    os.mkfifo(tmp_path / 'fifo')
    for path in (tmp_path / 'fifo', tmp_path / 'none.pth', '/dev/zero'):
        with pytest.raises(FileNotFoundError, match='does not exist'):
            read_checkpoint(path)
    with pytest.raises(FileNotFoundError, match='is a folder: name one of the files in it'):
        read_checkpoint(tmp_path)
