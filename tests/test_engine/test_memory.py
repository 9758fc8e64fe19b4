import subprocess
import sys

import pytest

from sesim_mmagic.engine.memory import keep_freed_memory

FAULTS = """
import resource, sys, torch
from sesim_mmagic.engine.memory import keep_freed_memory
if sys.argv[1] == 'keep':
    assert keep_freed_memory()
def step():
    maps = [torch.ones(n * 2**18) for n in (4, 16, 16, 30)]  # MB
faults = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    step()
before = faults()
for _ in range(10):
    step()
print(faults() - before)
"""


@pytest.mark.skipif(not sys.platform.startswith('linux'), reason='glibc alone can be told so')
def test_memory_is_used_again():
    """A page that comes from the operating system anew is a page fault."""
    faults = {}
    for mode in ('keep', 'leave'):
        command = [sys.executable, '-c', FAULTS, mode]
        faults[mode] = int(subprocess.run(command, capture_output=True, check=True).stdout)
    assert faults['leave'] > 100
    assert faults['keep'] < 0.2 * faults['leave']


def test_other_systems_are_left_alone(monkeypatch):
    monkeypatch.setattr(sys, 'platform', 'darwin')
    assert keep_freed_memory() is False
