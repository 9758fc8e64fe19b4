"""Markdown files of the repository: their headings, links and blocks of code."""

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
_LEFT_OUT = {'work_dirs', 'data', 'build', 'dist', 'node_modules'}
_FENCE = re.compile(r'^( *)```(\w*)[^\n]*\n(.*?)^\1```', re.M | re.S)
# [text](target "title") and ![text](target); text may hold one pair of brackets.
_LINK = re.compile(r'\[(?:[^\[\]]|\[[^\]]*\](?:\([^)]*\))?)*\]\(<?([^)\s>]+)>?(?:\s+"[^"]*")?\)')
_HEADING = re.compile(r'^#{1,6}\s+(.+?)\s*#*$', re.M)


def files(root=ROOT):
    """Markdown files below the repository, without folders that belong to nobody."""
    try:
        command = ['git', 'ls-files', '-co', '--exclude-standard', '*.md']
        run = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
        return sorted(root / name for name in run.stdout.splitlines() if (root / name).is_file())
    except (OSError, subprocess.CalledProcessError):  # a copy that is no checkout
        found = (path.relative_to(root) for path in root.rglob('*.md'))
        return sorted(
            root / path
            for path in found
            if not any(part.startswith('.') or part in _LEFT_OUT for part in path.parts)
        )


def blocks(text, language=None):
    """Contents of the fenced blocks of code, of one language or of all."""
    return [code for _, found, code in _FENCE.findall(text) if language in (None, found)]


def prose(text):
    """The text without fenced blocks."""
    return _FENCE.sub('', text)


def links(text):
    """Targets of links and pictures outside of code."""
    return _LINK.findall(re.sub(r'`[^`\n]*`', '', prose(text)))


def anchors(text):
    """Anchors that GitHub gives the headings."""
    found, counts = set(), {}
    for heading in _HEADING.findall(prose(text)):
        words = re.sub(r'!?\[([^\]]*)\]\([^)]*\)', r'\1', heading).replace('`', '')
        anchor = re.sub(r'[^\w\- ]', '', words.lower()).replace(' ', '-')
        number = counts[anchor] = counts.get(anchor, -1) + 1
        found.add(f'{anchor}-{number}' if number else anchor)
    return found
