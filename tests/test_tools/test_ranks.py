"""Ranks before their work: they meet soon or say who is missing; no restart begins anew."""

import os
import re
import socket
from pathlib import Path

import pytest
from mmengine.config import Config

from sesim_mmagic.apis import launch, ranks
from sesim_mmagic.apis.command_line import CommandError
from sesim_mmagic.engine import work_dir


def test_a_rank_that_does_not_come_is_named(monkeypatch):
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        port = str(probe.getsockname()[1])
    environment = dict(
        TORCHELASTIC_RUN_ID='job',
        RANK='0',
        WORLD_SIZE='3',
        MASTER_ADDR='127.0.0.1',
        MASTER_PORT=port,
        JOIN_TIMEOUT='1',
    )
    for name, value in environment.items():
        monkeypatch.setitem(os.environ, name, value)
    with pytest.raises(CommandError, match='no sign of rank 1 and 2 for 1 s'):
        ranks.meet_ranks()


def test_the_launcher_waits_as_long_as_its_ranks():
    """One default in the script, in what it says, in the ranks and in the guide."""
    root = Path(__file__).resolve().parents[2]
    script = (root / 'tools/launch_ranks.sh').read_text()
    guide = (root / 'docs/guide/several_machines.md').read_text()
    patterns = r'JOIN_TIMEOUT:-(\d+)', r'JOIN_TIMEOUT \((\d+) seconds', r'`JOIN_TIMEOUT` \| (\d+)'
    seconds = {re.search(pattern, script + guide)[1] for pattern in patterns}
    assert seconds == {str(ranks._DEFAULT_JOIN_TIMEOUT)}


@pytest.mark.parametrize(
    ('settings', 'is_refused'),
    [
        (dict(resume=False), True),
        (dict(resume=True, load_from='weights.pth'), True),
        (dict(resume=True, load_from=None), False),
    ],
)
def test_a_restart_goes_on_from_the_last_checkpoint(settings, is_refused, monkeypatch, tmp_path):
    config = Config(dict(work_dir=str(tmp_path / 'work'), **settings))
    ranks.check_restarts(config)
    monkeypatch.setenv('TORCHELASTIC_MAX_RESTARTS', '2')
    if is_refused:
        with pytest.raises(ValueError, match='give --resume, and no load_from'):
            launch.prepare_start(config)
    else:
        launch.prepare_start(config)


def test_machines_that_do_not_share_the_work_directory(tmp_path, monkeypatch):
    there = [('first', 'iter_4.pth', None), ('second', None, None)]
    monkeypatch.setattr(work_dir, 'all_gather_object', lambda own: there)
    with pytest.raises(ValueError, match="rank 1 on 'second' with no checkpoint") as caught:
        work_dir.check_start_of_ranks(tmp_path, True, None)
    assert "Rank 0 on machine 'first' begins with iter_4.pth" in str(caught.value)
    assert 'share' in str(caught.value) and len(str(caught.value).splitlines()) == 1

    monkeypatch.setattr(
        work_dir, 'all_gather_object', lambda own: [own, ('b', None, ValueError('x'))]
    )
    with pytest.raises(ValueError, match='x'):
        work_dir.check_start_of_ranks(tmp_path, True, None)
