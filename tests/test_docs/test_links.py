"""What the Markdown files point to is there: files, headings, tools, their options."""

import re
from itertools import product

import pytest

from tests.test_docs import markdown
from tests.test_docs.markdown import ROOT

if not (ROOT / 'docs/guide').is_dir():  # a source distribution
    pytest.skip('the guide is not here', allow_module_level=True)
FILES = markdown.files()
_TOOLS = re.compile(r'(?<![\w/.])((?:configs|tools|docs)/[\w./{},*$-]+\.(?:py|sh))(?![\w])')
_OPTION = re.compile(r'(?<![\w-])--[a-z][a-z-]*')
# Tools of earlier commits, which pages may name with the last commit that had them.
GONE = {'tools/benchmark/structure.py': '8289582'}


def name(path):
    return str(path.relative_to(ROOT))


def broken_links(path):
    text = path.read_text(encoding='utf-8')
    for link in markdown.links(text):
        if re.match(r'[a-z]+:', link):
            continue
        target, _, anchor = link.partition('#')
        file = (path.parent / target).resolve() if target else path
        if not file.exists():
            yield f'{link}: no such file'
        elif anchor and anchor not in markdown.anchors(file.read_text(encoding='utf-8')):
            yield f'{link}: no such heading'


def expanded(pattern):
    """A shell's words of ``a{b,c}d``."""
    parts = re.split(r'(\{[^{}]*\})', pattern)
    choices = [p[1:-1].split(',') if p.startswith('{') else [p] for p in parts]
    return [''.join(words) for words in product(*choices)]


def named_files(text):
    """Configs, tools and examples in blocks and in inline code; names with variables are not."""
    code = [*markdown.blocks(text), *re.findall(r'`([^`\n]+)`', markdown.prose(text))]
    for found in _TOOLS.findall('\n'.join(code)):
        if '$' not in found:
            yield from expanded(found)


def commands(text):
    """Each call of a Python tool: its file and the options it is given."""
    for block in markdown.blocks(text):
        for line in block.replace('\\\n', ' ').splitlines():
            # A comment, the next command and the output of another are not its options.
            words = re.split(r'\s#|[;&|)]', line)[0]
            found = re.search(r'(tools/[\w/]+\.py|tools/dist_train\.sh|tools/dist_test\.sh)', words)
            if found:
                yield found[1], _OPTION.findall(words[found.end() :])


def options(tool):
    """Options of a tool: those in its source and in what it takes its arguments from."""
    script = dict(dist_train='train.py', dist_test='test.py').get((ROOT / tool).stem)
    path = ROOT / 'tools' / script if script else ROOT / tool
    source = path.read_text(encoding='utf-8')
    sources = [source]
    for module in re.findall(r'^(?:from|import) (\w+)', source, re.M):
        beside = path.parent / f'{module}.py'
        if beside.is_file():
            sources.append(beside.read_text(encoding='utf-8'))
    if 'command_line.' in source:
        sources.append((ROOT / 'sesim_mmagic/apis/command_line.py').read_text(encoding='utf-8'))
    found = set(re.findall(r"'(--[a-z][a-z-]*)'", '\n'.join(sources)))
    if "f'--{name}'" in source:  # options of a table
        found |= {f'--{option}' for option in re.findall(r'^ +(\w+)=\(', source, re.M)}
    negated = {option.replace('--', '--no-', 1) for option in found}
    return found | negated | {'--help'}


@pytest.mark.parametrize('path', FILES, ids=name)
def test_links_lead_somewhere(path):
    assert not list(broken_links(path))


@pytest.mark.parametrize('path', FILES, ids=name)
def test_files_in_code_exist(path):
    text = path.read_text(encoding='utf-8')
    files = [file for file in named_files(text) if GONE.get(file, 'not gone') not in text]
    missing = [file for file in files if not list(ROOT.glob(file))]
    assert not missing


@pytest.mark.parametrize('path', FILES, ids=name)
def test_options_in_commands_exist(path):
    text = path.read_text(encoding='utf-8')
    unknown = [
        f'{tool} {option}'
        for tool, given in commands(text)
        if tool not in GONE
        for option in given
        if option not in options(tool)
    ]
    assert not unknown


def test_every_page_of_the_guide_is_in_its_index():
    guide = ROOT / 'docs/guide'
    listed = set(markdown.links((guide / 'README.md').read_text(encoding='utf-8')))
    assert {path.name for path in guide.glob('*.md')} - {'README.md'} <= listed


def test_what_these_tests_read_out_of_markdown():
    text = (
        '# A `name`, and [more](x.md)\n## Twice\n## Twice\n[a [b]](one.md#c) ![p](two.png)\n'
        '`[no](three.md)`\n```shell\n# no heading\npython tools/train.py configs/{a,b}.py \\\n'
        '    --resume  # --amp\n[no](four.md)\n```\n'
    )
    assert markdown.anchors(text) == {'a-name-and-more', 'twice', 'twice-1'}
    assert markdown.links(text) == ['x.md', 'one.md#c', 'two.png']
    assert list(named_files(text)) == ['tools/train.py', 'configs/a.py', 'configs/b.py']
    assert list(commands(text)) == [('tools/train.py', ['--resume'])]
    assert '--resume' in options('tools/train.py') and '--real' not in options('tools/train.py')
