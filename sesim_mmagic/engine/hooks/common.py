"""What several hooks need to know about a run."""

from pathlib import Path

from mmengine.runner import Runner


def run_name(runner: Runner) -> str:
    """Return the name of the config file, or MMEngine's experiment name where there is none."""
    filename = runner.cfg.filename
    return Path(filename).stem if filename else runner.experiment_name
