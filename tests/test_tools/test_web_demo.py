"""The page to try models: the real server, headless Chromium, and requests it refuses."""

import asyncio
import os
import socket
import subprocess
import threading
import time
from http.client import HTTPConnection
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

import cv2
import numpy as np
import pytest
import torch
from torchvision.models.vgg import cfgs, make_layers

from sesim_mmagic.apis import SeSimInferencer
from tests.test_tools.browser import CHROMIUM, Browser
from tests.test_tools.test_command_line import TOOLS, fails, tool
from tests.test_tools.web_demo_models import arguments, as_png, picture

pytest.importorskip('nicegui')


@pytest.fixture(scope='module', autouse=True)
def folder(demo_models):
    return demo_models


@pytest.fixture(scope='module')
def vgg16(tmp_path_factory):
    """Where the weights of VGG16 are kept when they were downloaded."""
    return tmp_path_factory.mktemp('torch') / 'hub/checkpoints/vgg16-397923af.pth'


def own_address():
    """This machine's own one: of IPv6, or of IPv4 where that is switched off, as in containers."""
    try:
        with socket.create_server(('::1', 0), family=socket.AF_INET6):
            return '::1'
    except OSError:
        return '127.0.0.1'


@pytest.fixture(scope='module')
def address(python, folder, vgg16, tmp_path_factory):
    """Where the real server is, in a process of its own on a free port.

    The weights of VGG16 cannot be downloaded, as long as nobody puts them into ``vgg16``.
    """
    log = tmp_path_factory.mktemp('server') / 'log.txt'
    host = own_address()
    options = arguments(folder, '--port', '0', '--max-upload', '1', '--host', host)
    options += '--feature-net', 'torchvision'
    no_network = dict(TORCH_HOME=str(vgg16.parents[2]), https_proxy='http://127.0.0.1:9')
    with log.open('w') as file:
        process = subprocess.Popen(
            [python, str(TOOLS / 'web_demo.py'), *options], env={**os.environ, **no_network},
            cwd=TOOLS.parent, stdout=subprocess.PIPE, stderr=file, text=True,
        )  # fmt: skip
    try:
        line = process.stdout.readline()
        shown = f'[{host}]' if ':' in host else host
        assert line.startswith(f'Open http://{shown}:'), log.read_text()
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
STATUS, HINT = (f"document.querySelector('[role={r}]').innerText" for r in ('status', 'note'))
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
def test_visitor_in_a_browser(address, folder, vgg16, tmp_path):
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

        # Without VGG16 a line says so, and the rest stays.
        browser.click('img', 0.25, 0.75)
        browser.wait_for(f"{IDLE} && {HINT}.includes('cannot download the VGG16 weights')")
        assert 'give --feature-net package' in browser.evaluate(HINT)
        assert browser.evaluate(SIZES) == [[64, 48], [64, 48]]
        vgg16.parent.mkdir(parents=True, exist_ok=True)
        features = make_layers(cfgs['D']).state_dict()
        torch.save({f'features.{name}': weight for name, weight in features.items()}, vgg16)

        browser.click('img', 0.25, 0.75)
        browser.wait_for(f'{IDLE} && {SIZES}.length === 3 && {SIZES}[2][0] > 500')
        assert browser.evaluate(HINT).startswith('Self-similarity')
        crosses = browser.evaluate("document.querySelectorAll('svg path[stroke=white]').length")
        assert crosses == 2
        maps = shown(address, browser, 2)

        choose(browser, 'Model', 'many/a.pth')
        browser.wait_for(f"{IDLE} && document.querySelector('.q-slider').offsetWidth > 0")
        browser.wait_for(f'{IDLE} && {SIZES}.length === 3')
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


def answer(address, method, path, **headers):
    """Answer to a request that has these headers and no others, not even its own body."""
    place = urlsplit(address)
    connection = HTTPConnection(place.hostname, place.port, timeout=60)
    connection.putrequest(method, path)
    for key, value in headers.items():
        connection.putheader(key.replace('_', '-'), value)
    connection.endheaders()
    return connection.getresponse()


def test_connections_of_other_pages_are_refused(address):
    path = '/_nicegui_ws/socket.io/?EIO=4&transport=websocket'
    begin = dict(Connection='Upgrade', Upgrade='websocket')
    begin |= dict(Sec_WebSocket_Version='13', Sec_WebSocket_Key='MDEyMzQ1Njc4OWFiY2RlZg==')
    for origin, code in ((address.rstrip('/'), 101), ('http://evil.example', 403)):
        assert answer(address, 'GET', path, Origin=origin, **begin).status == code


def test_large_files_are_refused(address):
    large = answer(address, 'POST', '/anything', Content_Length='3000000')
    assert large.status == 413 and 'up to 1 MB are taken' in large.read().decode()
    assert answer(address, 'POST', '/anything', Transfer_Encoding='chunked').status == 413
    assert answer(address, 'POST', '/anything', Content_Length='0').status == 404


def test_one_call_at_a_time_works():
    """Visitors wait for each other: memory does not grow with their number."""
    module, inside = tool('web_demo'), threading.Lock()

    def work(number):
        assert inside.acquire(blocking=False)
        time.sleep(0.01)
        inside.release()
        return number

    async def visit():
        return await asyncio.gather(*(module.in_turn(work, number) for number in range(6)))

    assert asyncio.run(visit()) == list(range(6))


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
        (['--max-side', '8'], '--max-side must be at least 16'),
        (['--max-image-pixels', '0'], '--max-image-pixels must be at least 1'),
        (['--model', model, 'gone.pth'], "Checkpoint 'gone.pth' does not exist"),
    ):
        assert message in fails(capsys, 'web_demo', '--model', model, *argv)
