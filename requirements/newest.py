"""Write the newest releases that the bounds allow for this Python: the set to test next.

    make constraints PYTHON=python3.12

Wheels only. Run the tests in an environment of the new set before it is committed.
"""

import json
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
HEADER = """\
# The tested set for Python {version}: every release that `make install` puts beside this package.
# Written by `make constraints PYTHON=python{version}` (Linux, x86-64), wheels only.
"""


def newest(extras: str) -> list[str]:
    """``name==version`` of each release that pip would install, this package left out."""
    pip = [sys.executable, '-m', 'pip', 'install', '--dry-run', '--ignore-installed', '--quiet']
    bounds = ['--constraint', str(FOLDER / 'held_back.txt'), '--only-binary', ':all:']
    wanted = ['--report', '-', 'pip', 'setuptools', f'{FOLDER.parent}[{extras}]']
    report = subprocess.run([*pip, *bounds, *wanted], check=True, stdout=subprocess.PIPE).stdout
    releases = [item['metadata'] for item in json.loads(report)['install'] if not item['is_direct']]
    return sorted((f'{r["name"]}=={r["version"]}' for r in releases), key=str.lower)


if __name__ == '__main__':
    version = f'{sys.version_info.major}.{sys.version_info.minor}'
    text = HEADER.format(version=version) + ''.join(f'{line}\n' for line in newest(sys.argv[1]))
    (FOLDER / f'constraints-{version}.txt').write_text(text)
