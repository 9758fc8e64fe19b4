import subprocess
import sys

import pytest
import torch

from sesim_mmagic.engine import cpu
from sesim_mmagic.engine.cpu import bfloat16_speed, keep_freed_memory

# Asks glibc where a large block comes from, and whether it stays when it is freed. It is larger
# than any hole that imports may have left, and never touched.
BLOCK = """
import ctypes
from sesim_mmagic.engine.cpu import keep_freed_memory
class Info(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in (
        'arena', 'ordblks', 'smblks', 'hblks', 'hblkhd', 'usmblks', 'fsmblks', 'uordblks',
        'fordblks', 'keepcost')]
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
libc.free.argtypes = [ctypes.c_void_p]
libc.mallinfo2.restype = Info
for keeps in (False, True):
    if keeps:
        assert keep_freed_memory()
    before = libc.mallinfo2()
    block = libc.malloc(2**29)
    held = libc.mallinfo2()
    libc.free(block)
    after = libc.mallinfo2()
    # What was free at the heap's end is used first.
    print(held.hblks - before.hblks, after.arena - before.arena >= 2**28)
"""


@pytest.mark.skipif(not sys.platform.startswith('linux'), reason='glibc alone can be told so')
def test_freed_memory_stays_with_the_process():
    command = [sys.executable, '-c', BLOCK]
    ended = subprocess.run(command, capture_output=True, check=True, text=True)
    assert ended.stdout.split()[-4:] == ['1', 'False', '0', 'True']


def test_other_systems_are_left_alone(monkeypatch):
    monkeypatch.setattr(sys, 'platform', 'darwin')
    assert keep_freed_memory() is False


def test_speed_of_bfloat16_is_that_of_one_thread(monkeypatch):
    before, seen = torch.get_num_threads(), []

    def process_time():
        seen.append(torch.get_num_threads())
        return len(seen)

    monkeypatch.setattr(cpu, 'process_time', process_time)
    torch.set_num_threads(2)
    try:
        bfloat16_speed()
        assert set(seen) == {1} and torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_speed_of_bfloat16_is_the_median_of_pairs(monkeypatch):
    assert 0.05 < bfloat16_speed() < 50
    pairs = [(9, 1), (6, 3), (6, 2), (8, 4), (1, 9), (6, 3), (4, 2), (2, 1), (1, 7)]
    times = iter([time for pair in pairs for seconds in pair for time in (0, seconds)])
    monkeypatch.setattr(cpu, 'process_time', lambda: next(times))
    assert bfloat16_speed() == 2
