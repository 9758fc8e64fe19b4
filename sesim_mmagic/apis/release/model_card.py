"""What is known of a released model, as a model card in Markdown (``model_card.md.jinja``)."""

import html
import os
import re
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from sesim_mmagic.engine import read_results
from sesim_mmagic.utils.names import printable

# What Markdown reads as markup inside a line; between letters '_' is none.
_MARKUP = re.compile(r'[\\`*\[\]|~$#!]|(?<![^\W_])_|_(?![^\W_])')
_OF_ADDRESSES = ":/?#@!$&'*+,;=%~"


def read_scores(work_dir: Path, checkpoint: Path, iteration: int | None = None) -> list[dict]:
    """Scores of a checkpoint that the ``results.json`` of a work directory notes.

    Of its tests and, with the iteration of a training there, of its validation. Each is ``split``,
    ``pictures`` and ``metrics``, without those that were no finite number.
    """
    results = read_results(work_dir) or {}
    validation = results.get('validation', {})
    entries = [
        dict(validation, **entry)
        for entry in validation.get('history', [])
        if entry['iteration'] == iteration
    ]
    entries += [
        test
        for test in results.get('tests', [])
        if Path(work_dir, test['checkpoint'] or '').resolve() == checkpoint.resolve()
    ]
    scores = []
    for entry in entries:
        if metrics := {k: v for k, v in entry['metrics'].items() if v is not None}:
            scores.append(dict(split=entry['split'], pictures=entry['pictures'], metrics=metrics))
    return scores


def read_resources(work_dir: Path) -> str | None:
    """What a training ran on and how long, such as '1 x NVIDIA A100, 12.5 hours'; None: unknown."""
    training = (read_results(work_dir) or {}).get('training')
    if not training:
        return None
    minutes = training['seconds'] / 60
    time = f'{minutes / 60:.3g} hours' if minutes >= 60 else f'{minutes:.2g} minutes'
    return f'{training["ranks"]} x {training.get("device", "unknown device")}, {time}'


def write_card(facts: dict[str, Any]) -> str:
    """Model card; whatever comes from names and settings is shown as it is, without markup."""
    environment = Environment(
        loader=PackageLoader('sesim_mmagic.apis.release', '.'),
        undefined=StrictUndefined,
        finalize=_plain,
        trim_blocks=True,
    )
    environment.filters['address'] = lambda path: Markup(
        quote(os.fsencode(path), safe=_OF_ADDRESSES)
    )
    return environment.get_template('model_card.md.jinja').render(facts)


def _plain(value: Any) -> str:
    """A value as a reader of Markdown shows it as it is, in one line."""
    if isinstance(value, Markup):
        return value
    text = html.escape(' '.join(printable(str(value)).split()), quote=False)
    return _MARKUP.sub(r'\\\g<0>', text)
