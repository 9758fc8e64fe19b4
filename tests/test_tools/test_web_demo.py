"""The page to try models: the real server, headless Chromium, and requests it refuses."""

import subprocess
from http.client import HTTPConnection
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

import cv2
import numpy as np
import pytest

from sesim_mmagic.apis import SeSimInferencer
from tests.test_tools.browser import CHROMIUM, Browser
from tests.test_tools.test_command_line import TOOLS, fails, tool
from tests.test_tools.web_demo_models import arguments, as_png, picture

pytest.importorskip('nicegui')


@pytest.fixture(scope='module', autouse=True)
def folder(demo_models):
    return demo_models


@pytest.fixture(scope='module')
def address(python, folder, tmp_path_factory):
    """Where the real server is, in a process of its own on a free port; by IPv6."""
    log = tmp_path_factory.mktemp('server') / 'log.txt'
    options = arguments(folder, '--port', '0', '--max-upload', '1', '--host', '::1')
    with log.open('w') as file:
        process = subprocess.Popen(
            [python, str(TOOLS / 'web_demo.py'), *options],
            cwd=TOOLS.parent, stdout=subprocess.PIPE, stderr=file, text=True,
        )  # fmt: skip
    try:
        line = process.stdout.readline()
        assert line.startswith('Open http://[::1]:'), log.read_text()
        yield line.split()[1]
    finally:
        process.terminate()
        process.wait(30)
    assert 'Traceback' not in log.read_text()


def status(address, data=None, **headers):
    """Status of the answer, and its text."""
    headers = {key.replace('_', '-'): value for key, value in headers.items()}
    try:
        with urlopen(Request(address, data, headers), timeout=60) as answer:
            return answer.status, answer.read().decode()
    except HTTPError as error:
        return error.code, error.read().decode()


IDLE = "!document.querySelector('[role=status]').innerText.startsWith('Working')"
STATUS = "document.querySelector('[role=status]').innerText"
SHOWN = "[...document.querySelectorAll('img')].filter((i) => i.offsetWidth)"
SIZES = f'{SHOWN}.map((i) => [i.naturalWidth, i.naturalHeight])'


def choose(browser, label, option):
    browser.click(f'[aria-label="{label}"]')
    browser.wait_for("document.querySelectorAll('.q-item').length > 0")
    shown = browser.evaluate("[...document.querySelectorAll('.q-item')].map((i) => i.innerText)")
    browser.click(f'.q-item:nth-child({shown.index(option) + 1})')


def shown(address, browser, index):
    """The picture behind an image of the page."""
    source = browser.evaluate(f"document.querySelectorAll('img')[{index}].src")
    with urlopen(source, timeout=60) as answer:
        return cv2.imdecode(np.frombuffer(answer.read(), np.uint8), cv2.IMREAD_COLOR)


@pytest.mark.skipif(CHROMIUM is None, reason='no Chromium in PATH')
def test_visitor_in_a_browser(address, folder, tmp_path):
    source = cv2.imread(str(folder / 'pictures/first.png'))
    (wanted,) = SeSimInferencer(folder / 'one/a.pth', device='cpu')(source)['visualization']
    with Browser(tmp_path / 'profile') as browser:
        browser.open(address)
        browser.wait_for(
            f"document.querySelector('[role=status]') && {STATUS} === 'Choose a picture'"
        )
        choose(browser, 'Picture', 'first.png')
        browser.wait_for(f'{IDLE} && {SIZES}.length === 2 && {SIZES}.every((s) => s[0] === 64)')
        assert np.array_equal(shown(address, browser, 0), source)
        assert np.array_equal(shown(address, browser, 1), wanted)

        browser.click('img', 0.25, 0.75)
        browser.wait_for(f'{IDLE} && {SIZES}.length === 5 && {SIZES}.every((s) => s[0] > 1)')
        assert all(width > 100 for width, _ in browser.evaluate(SIZES)[2:])
        crosses = browser.evaluate("document.querySelectorAll('svg path[stroke=white]').length")
        assert crosses == 2
        maps = shown(address, browser, 2)

        choose(browser, 'Model', 'many/a.pth')
        browser.wait_for(f"{IDLE} && document.querySelector('.q-slider').offsetWidth > 0")
        browser.wait_for(f'{IDLE} && {SIZES}.length === 5')
        styled = shown(address, browser, 1)
        assert not np.array_equal(styled, wanted)
        assert not np.array_equal(shown(address, browser, 2), maps)
        before = browser.evaluate("document.querySelectorAll('img')[1].src")
        browser.click('.q-slider', 0.5)
        changed = f"document.querySelectorAll('img')[1].src !== {before!r}"
        browser.wait_for(f'{IDLE} && {changed}')
        assert not np.array_equal(shown(address, browser, 1), styled)

        (tmp_path / 'own.png').write_bytes(as_png(picture((40, 90), seed=3)))
        browser.choose_file('input[type=file]', tmp_path / 'own.png')
        browser.wait_for(f'{IDLE} && {SIZES}[0][0] === 90 && {SIZES}[1][0] === 90')
        (tmp_path / 'notes.png').write_text('no picture')
        browser.choose_file('input[type=file]', tmp_path / 'notes.png')
        browser.wait_for(f"{STATUS}.includes('notes.png')")

        choose(browser, 'Model', f'{folder.name}/broken.pth')
        browser.wait_for(f"{STATUS}.includes('is not a PyTorch checkpoint')")
        assert str(folder) not in browser.evaluate('document.body.innerText')
        assert browser.evaluate(f'{SIZES}.length') == 1  # no answer to an earlier question


def test_requests_of_other_pages_are_refused(address):
    assert status(address)[0] == 200
    own = address.rstrip('/')
    assert status(address, Origin=own)[0] == 200
    assert status(address, Sec_Fetch_Site='cross-site')[0] == 200  # a link that leads here
    for headers, code in (
        (dict(Origin='http://evil.example'), 403),
        (dict(Origin='null'), 403),
        (dict(Host='evil.example'), 400),
    ):
        assert status(address, **headers)[0] == code
    script = f'{address}_nicegui/anything'
    assert status(script, Sec_Fetch_Site='cross-site')[0] == 403
    assert status(script, Sec_Fetch_Site='same-origin')[0] == 404


def test_large_files_are_refused(address):
    def answer(**headers):
        place = urlsplit(address)
        connection = HTTPConnection(place.hostname, place.port, timeout=60)
        connection.putrequest('POST', '/anything')
        for key, value in headers.items():
            connection.putheader(key.replace('_', '-'), value)
        connection.endheaders()
        found = connection.getresponse()
        return found.status, found.read().decode()

    code, text = answer(Content_Length='3000000')
    assert code == 413 and 'up to 1 MB are taken' in text
    assert answer(Transfer_Encoding='chunked')[0] == 413
    assert answer(Content_Length='0')[0] == 404


def test_messages_show_no_folders():
    folders = tool('web_demo').FOLDERS
    for before, after in (
        ("Checkpoint '/home/me/my work/a.pth' is damaged", "Checkpoint 'a.pth' is damaged"),
        ('no "/a/b\'s/c.pth" here', 'no "c.pth" here'),
        ("'/a/b' and '/c d/e/'", "'b' and ''"),
        ('[Errno 2] No such file: /home/me/x.png', '[Errno 2] No such file: x.png'),
        ('~/a/b.pth and /c/d: e', 'b.pth and d: e'),
        ('https://host/a/b.pth stays, and 1/2', 'https://host/a/b.pth stays, and 1/2'),
    ):
        assert folders.sub('', before) == after


def test_mistakes_are_told_at_the_start(folder, capsys):
    model = str(folder / 'one/a.pth')
    for argv, message in (
        (['--pictures', 'gone'], "'gone' is no"),
        (['--max-upload', '0'], '--max-upload must be at least 1'),
        (['--model', model, 'gone.pth'], "Checkpoint 'gone.pth' does not exist"),
    ):
        assert message in fails(capsys, 'web_demo', '--model', model, *argv)
