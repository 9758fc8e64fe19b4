"""The ranks of a job: how they meet, how they leave, what a restart of them may do."""

import atexit
import os
import sys
from datetime import timedelta

import torch
from mmengine.config import Config
from torch.distributed import DistNetworkError, DistStoreError, TCPStore

from sesim_mmagic.apis.command_line import CommandError

#: Environment variable: seconds for which the machines of a job wait for each other.
JOIN_TIMEOUT = 'JOIN_TIMEOUT'
_DEFAULT_JOIN_TIMEOUT = 300  # people start launchers by hand; imports alone may take half a minute
# Rank 0 serves it to the others for as long as it is kept.
_store: TCPStore | None = None


def is_first_rank(cfg: Config) -> bool:
    """Whether this process is the first of a job; told by what its launcher sets."""
    if cfg.get('launcher', 'none') == 'none':
        return True
    names = ('RANK', 'SLURM_PROCID', 'OMPI_COMM_WORLD_RANK')
    return int(next((os.environ[name] for name in names if name in os.environ), 0)) == 0


def check_restarts(cfg: Config) -> None:
    """Refuse a job whose ranks would begin anew when their launcher restarts them.

    No rank knows whether it is one of a restart: each launcher counts those that it caused itself.
    So every start must be one that goes on from the last checkpoint, as far as there is one.

    Args:
        cfg (Config): Config of a training.

    Raises:
        ValueError: A restart would not go on from the last checkpoint of the work directory.
    """
    restarts = int(os.environ.get('TORCHELASTIC_MAX_RESTARTS', 0))
    if restarts and (not cfg.get('resume') or cfg.get('load_from')):
        raise ValueError(
            f'A job that may restart (MAX_RESTARTS={restarts}) has to go on from the last '
            'checkpoint of its work directory: give --resume, and no load_from.'
        )


def meet_ranks() -> None:
    """Wait until every rank has come this far, but not for long; torchrun's jobs alone do.

    The process group, which they form next, would wait for half an hour for a rank whose machine
    lacks a file. On one machine the launcher ends the others at once; it does not know of another
    machine's.

    Raises:
        CommandError: Some rank did not come.
    """
    global _store
    if 'TORCHELASTIC_RUN_ID' not in os.environ:
        return
    seconds = int(os.environ.get(JOIN_TIMEOUT, _DEFAULT_JOIN_TIMEOUT))
    rank, size = int(os.environ['RANK']), int(os.environ['WORLD_SIZE'])
    keys = {other: f'met/{other}' for other in range(size)}
    missing = [0]  # as long as nobody answers
    try:
        _store = TCPStore(
            os.environ['MASTER_ADDR'],
            int(os.environ['MASTER_PORT']),
            is_master=rank == 0 and os.environ.get('TORCHELASTIC_USE_AGENT_STORE') != 'True',
            timeout=timedelta(seconds=seconds),
            wait_for_workers=False,
            multi_tenant=True,  # the process group's is the same one
        )
        _store.set(keys[rank], '')
        try:
            _store.wait(list(keys.values()), timedelta(seconds=seconds))
        except DistStoreError:
            missing = [other for other, key in keys.items() if not _store.check([key])]
            raise
    except (DistStoreError, DistNetworkError):
        raise CommandError(
            f'no sign of rank {" and ".join(map(str, missing))} for {seconds} s ({JOIN_TIMEOUT}): '
            'the log of its machine says why',
            1,
        ) from None


def leave_job() -> None:
    """End the process of a rank when all ranks are done; nothing happens in a single process.

    At the end of the interpreter, communication threads that still run are aborted by C++ now and
    then ("terminate called without an active exception"), whether or not the group was destroyed
    before, and the launcher reports a job as failed whose work is complete. So the process ends
    here, after what is registered to run at its end.
    """
    if not torch.distributed.is_initialized():
        return
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)
