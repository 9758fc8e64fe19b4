"""What several hooks need to know about a run."""

from pathlib import Path


def run_name(runner):
    """Return the name of the config file, or MMEngine's experiment name where there is none."""
    filename = runner.cfg.filename
    return Path(filename).stem if filename else runner.experiment_name


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
