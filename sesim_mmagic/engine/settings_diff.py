"""In which settings the config of a training differs from that of its checkpoint."""

from collections.abc import Iterator
from typing import Any

from mmengine.config import Config

from sesim_mmagic.engine.plain_settings import read_settings
from sesim_mmagic.utils.messages import cut

#: What shapes a training and the choice of its best checkpoint. Where files lie and what is
#: logged is left out, and so are names of a config that only help to write it.
SECTIONS = (
    'model',
    'data_preprocessor',
    'train_dataloader',
    'train_cfg',
    'optim_wrapper',
    'auto_scale_lr',
    'param_scheduler',
    'randomness',
    'val_dataloader',
    'val_cfg',
    'val_evaluator',
    'default_hooks',
    'custom_hooks',
)
_LONGEST = 80
_ABSENT = object()


class SettingsDiff:
    """Differences between the config in a checkpoint and the one that a training was given.

    Args:
        saved (str | None): Text of the checkpoint's config; it is read, never run.
        given (Config): Config of the training.

    Attributes:
        saved (dict | None): Settings of the checkpoint; None where they cannot be read.
        changed (list[tuple]): Dotted name, value in the checkpoint, value in the config.
    """

    def __init__(self, saved: str | None, given: Config) -> None:
        text = given.pretty_text
        self.saved: dict | None = {}
        self.changed: list[tuple[str, Any, Any]] = []
        if saved == text:
            self.saved = _sections(given.to_dict())
            return
        try:
            self.saved = _sections(read_settings(saved or '')) or None
            now = _sections(read_settings(text))
        except ValueError:
            self.saved = None
        if self.saved is not None:
            self.changed = list(_differences('', self.saved, now))

    def touches(self, *names: str) -> bool:
        """Whether a setting in one of these differs, or nobody can tell."""
        return self.saved is None or any(
            f'{name}.'.startswith(f'{other}.') or f'{other}.'.startswith(f'{name}.')
            for name, _, _ in self.changed
            for other in names
        )

    def lines(self) -> list[str]:
        """One line for each difference."""
        if self.saved is None:
            return [
                'The checkpoint does not hold the config that it was trained with: nobody can tell '
                'which settings are other ones now; those of the config given count'
            ]
        return [
            f'{name}: {_short(before)} in the checkpoint, {_short(now)} in the config, which counts'
            for name, before, now in self.changed
        ]


def _sections(settings: dict) -> dict:
    return {name: settings[name] for name in SECTIONS if settings.get(name) is not None}


def _differences(name: str, before: Any, now: Any) -> Iterator[tuple[str, Any, Any]]:
    if isinstance(before, dict) and isinstance(now, dict):
        for key in [*before, *(key for key in now if key not in before)]:
            inner = f'{name}.{key}' if name else str(key)
            yield from _differences(inner, before.get(key, _ABSENT), now.get(key, _ABSENT))
        return
    lists = isinstance(before, list | tuple) and isinstance(now, list | tuple)
    if lists and len(before) == len(now) and any(isinstance(v, dict) for v in before):
        for i, pair in enumerate(zip(before, now, strict=True)):
            yield from _differences(f'{name}.{i}', *pair)
    elif (list(before) != list(now)) if lists else (before != now or before is _ABSENT):
        yield name, before, now


def _short(value: Any) -> str:
    text = 'not set' if value is _ABSENT else repr(value)
    return cut(text, _LONGEST)
