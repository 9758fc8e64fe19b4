"""What several hooks need to know about a run."""

from pathlib import Path

from sesim_mmagic.utils.checkpoints import last_checkpoint


def run_name(runner):
    """Return the name of the config file, or MMEngine's experiment name where there is none."""
    filename = runner.cfg.filename
    return Path(filename).stem if filename else runner.experiment_name


def resume_advice(runner):
    """Say which checkpoint is the last good one and how to go on from it."""
    path = last_checkpoint(runner.work_dir)
    kept = f"Last good checkpoint: '{path}' (kept)." if path else 'No checkpoint was saved yet.'
    return (
        f'{kept} Usual causes: a learning rate or loss weight that is too high, damaged '
        'pictures, float16 without loss scaling. Change the cause, then '
        + ('continue with --resume.' if path else 'start again.')
    )


def source_domain(model, target):
    """Return the domain that a translation model translates into ``target``.

    Args:
        model (BaseTranslationModel): Unwrapped model.
        target (str): One of its reachable domains.

    Returns:
        str: Name of the source; of several the first by name (MMagic keeps no order).
    """
    if getattr(model, 'target_domain', None) == target:
        return model.source_domain
    return sorted(model.get_other_domains(target))[0]
