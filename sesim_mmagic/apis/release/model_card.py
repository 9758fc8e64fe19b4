"""What is known of a released model: facts of its training, metafile entry and model card."""

import html
import os
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from sesim_mmagic.engine import read_results
from sesim_mmagic.utils.names import printable

TASK = 'Image-to-Image Translation'
# What Markdown reads as markup inside a line; between letters '_' is none.
_MARKUP = re.compile(r'[\\`*\[\]|~$#!]|(?<![^\W_])_|_(?![^\W_])')
_OF_ADDRESSES = ":/?#@!$&'*+,;=%~"


@dataclass(frozen=True)
class ModelFacts:
    """What a metafile and a model card say of a model.

    Attributes:
        name (str): Name of the config.
        model (str): Class of the model.
        domains (tuple[str, str]): Source and target domain.
        iterations (int | None): Iterations of training.
        parameters (int): Parameters of the generators.
        averaged (bool): Whether the weights are a moving average over the training.
        data (str | None): What it was trained on.
        resources (str | None): What the training ran on, and for how long.
        scores (tuple[Score, ...]): What its tests gave.
        versions (dict[str, str]): Versions of packages, by package.
        licence (str): Licence of the weights.
        limits (str): What it cannot do, in words; may be empty.
    """

    name: str
    model: str
    domains: tuple
    iterations: int | None
    parameters: int
    averaged: bool
    data: str | None
    resources: str | None
    scores: tuple
    versions: dict
    licence: str
    limits: str


@dataclass(frozen=True)
class Score:
    """Metrics of one test of a model.

    Attributes:
        split (str): Which pictures, in words.
        pictures (int): How many.
        metrics (dict[str, float]): Scores by name.
    """

    split: str
    pictures: int
    metrics: dict


def read_scores(checkpoint, iteration):
    """Scores of a checkpoint in the ``results.json`` beside it.

    Args:
        checkpoint (Path): Checkpoint in a work directory.
        iteration (int | None): How long it was trained.

    Returns:
        tuple[Score, ...]: Those of its validation and its tests; scores that were no finite
        number are left out.

    Raises:
        ValueError: The file cannot be read.
    """
    results = read_results(checkpoint.parent) or {}
    validation = results.get('validation', {})
    found = [
        dict(entry, split=validation['split'], pictures=validation['pictures'])
        for entry in validation.get('history', [])
        if entry['iteration'] == iteration
    ]
    for test in results.get('tests', []):
        tested = Path(checkpoint.parent, test['checkpoint'] or '')
        if tested.resolve() == checkpoint.resolve():
            found.append(test)
    return tuple(
        Score(entry['split'], entry['pictures'], metrics)
        for entry in found
        if (metrics := {k: v for k, v in entry['metrics'].items() if v is not None})
    )


def read_resources(work_dir):
    """What a training ran on and how long, from ``results.json`` and the log.

    Args:
        work_dir (Path): Work directory.

    Returns:
        str | None: For example '1 x NVIDIA A100, 12.5 hours'; None where nothing is known.
    """
    training = (read_results(work_dir) or {}).get('training')
    if not training:
        return None
    device = 'CPU process' if training['memory_of'] == 'process' else _gpu(work_dir)
    return f'{training["ranks"]} x {device}, {training["seconds"] / 3600:.2f} hours'


def metafile_entry(facts, config, weights, sha256):
    """Entry of a model in a metafile, as mim reads it.

    Args:
        facts (ModelFacts): What is known of it.
        config (str): Path of its config below the repository.
        weights (str): Address of the checkpoint.
        sha256 (str): Its sum.

    Returns:
        dict: YAML's types only.
    """
    metadata = {
        'Training Data': facts.data,
        'Iterations': facts.iterations,
        'Training Resources': facts.resources,
        'Parameters': facts.parameters,
        'sesim_mmagic': facts.versions['sesim_mmagic'],
        'SHA256': sha256,
    }
    # The split is part of the name: one metric of two splits is two columns of mim's table.
    results = [
        dict(Task=TASK, Dataset=f'{facts.data or facts.name}, {s.split}', Metrics=dict(s.metrics))
        for s in facts.scores
    ]
    return dict(
        Name=facts.name,
        Config=config,
        Metadata={key: value for key, value in metadata.items() if value is not None},
        Weights=weights,
        **(dict(Results=results) if results else {}),
    )


def write_card(facts, file, sha256, weights, rows):
    """Model card in Markdown; what comes from names and settings is shown as it is, no markup.

    Args:
        facts (ModelFacts): What is known of the model.
        file (str): Name of the checkpoint.
        sha256 (str): Its sum.
        weights (str): Its address.
        rows (list[list[str]]): Paths of sample pictures below the card: source, translations.

    Returns:
        str: The text.
    """
    source, target = map(_plain, facts.domains)
    versions = _plain(', '.join(f'{name} {version}' for name, version in facts.versions.items()))
    average = ', a moving average of the weights' if facts.averaged else ''
    parts = [
        f'# {_plain(facts.name)}',
        f'Translates pictures from **{source}** to **{target}**: `{facts.model}`, '
        f'{facts.parameters:,} parameters{average}. Pictures of any size, one at a time.',
        *_samples(rows),
        '## Use\n\n```python\nfrom sesim_mmagic.apis import SeSimInferencer\n'
        f"SeSimInferencer('{file}')('pictures', out_dir='translations')\n```",
        f'## Training\n\n* data: {_plain(facts.data or "not known")}\n'
        f'* iterations: {facts.iterations or "not known"}\n'
        f'* on: {_plain(facts.resources or "not known")}\n'
        f'* released with: {versions}\n* config: inside the file',
        *_scores(facts.scores),
        '## Limits\n\nThe model knows pictures like those it was trained on and no others. What '
        'looks right need not be right: content can change or vanish. ' + _plain(facts.limits),
        f'## File\n\n* [{_plain(file)}]({quote(weights, safe=_OF_ADDRESSES)})\n'
        f'* sha256 `{sha256}`\n* licence: {_plain(facts.licence)}\n'
        '* holds weights and settings alone; loads with `torch.load(..., weights_only=True)`',
    ]
    return '\n\n'.join(part.rstrip() for part in parts) + '\n'


def _plain(text):
    """Text that a reader of Markdown shows as it is, in one line."""
    text = html.escape(' '.join(printable(text).split()), quote=False)
    return _MARKUP.sub(r'\\\g<0>', text)


def _samples(rows):
    if not rows:
        return []
    count = len(rows[0]) - 1
    names = ['translation'] if count == 1 else [f'style {i + 1}' for i in range(count)]
    lines = [f'| source | {" | ".join(names)} |', '|---' * (count + 1) + '|']
    lines += [
        f'| {" | ".join(f"![]({quote(os.fsencode(path))})" for path in row)} |' for row in rows
    ]
    return ['\n'.join(lines)]


def _scores(scores):
    if not scores:
        return ['## Scores\n\nNone were measured.']
    lines = ['## Scores', '', '| pictures | metric | value |', '|---|---|---|']
    lines += [
        f'| {_plain(score.split)}, {score.pictures} | {_plain(name)} | {value:.4g} |'
        for score in scores
        for name, value in score.metrics.items()
    ]
    lines += [
        '',
        "Measured by the config's own evaluators while training or by `tools/test.py`; how, and "
        'with which feature networks, is in the config.',
    ]
    return ['\n'.join(lines)]


def _gpu(work_dir):
    """Name of the GPU, which MMEngine notes at the beginning of its logs."""
    for log in sorted(work_dir.glob('*/*.log'), reverse=True):
        with log.open(errors='replace') as file:
            found = re.search(r'^\s*GPU [\d,]+: (.+)$', file.read(20000), re.MULTILINE)
        if found:
            return found[1].strip()
    return 'GPU'
