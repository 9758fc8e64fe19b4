"""The page to try models as a visitor sees it: the real server, headless Chromium."""

import io
import json
import re
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple
from urllib.request import Request, urlopen

import cv2
import numpy as np
import pytest
from PIL import Image

from sesim_mmagic.apis import init_translator
from tests.test_apis.inference import translated
from tests.test_tools.browser import CHROMIUM, Browser
from tests.test_tools.test_command_line import TOOLS
from tests.test_tools.web_demo_models import arguments, as_png, picture, pixels

pytest.importorskip('flask')


@pytest.fixture(scope='module', autouse=True)
def folder(demo_models):
    return demo_models


class Served(NamedTuple):
    """Address of a server, and the number of its process."""

    address: str
    pid: int


@pytest.fixture(scope='module')
def served(folder, python, tmp_path_factory):
    """Where the real server is, in a process of its own on a free port."""
    log = tmp_path_factory.mktemp('server') / 'log.txt'
    with log.open('w') as file:
        process = subprocess.Popen(
            [python, str(TOOLS / 'web_demo.py'), *arguments(folder, '--port', '0')],
            cwd=TOOLS.parent, stdout=subprocess.PIPE, stderr=file, text=True,
        )  # fmt: skip
    try:
        line = process.stdout.readline()
        assert line.startswith('Open http://127.0.0.1:'), log.read_text()
        yield Served(line.split()[1], process.pid)
    finally:
        process.terminate()
        process.wait(30)


SHOWN = "document.body.dataset.state === 'ready'"
WIDTHS = "[...document.querySelectorAll('{}')].map((i) => i.naturalWidth)"


@pytest.mark.skipif(CHROMIUM is None, reason='no Chromium in PATH')
def test_visitor_in_a_browser(served, folder, tmp_path):
    with Browser(tmp_path / 'profile') as browser:
        browser.open(f'{served.address}?picture=first.png')
        browser.wait_for(SHOWN)
        check_translation(browser, folder)
        check_click(browser)
        check_styles(browser)
        check_upload(browser, tmp_path)
        check_broken_model(browser)


def test_large_pictures_of_several_visitors_are_bounded_in_memory(served):
    """Small files of 45 megapixels, all at once: they are decoded one after the other."""

    def highest():
        status = Path(f'/proc/{served.pid}/status').read_text()
        return int(re.search(r'VmHWM:\s+(\d+) kB', status)[1]) / 1024

    def prepared(number):
        file = io.BytesIO()
        Image.new('RGB', (9000, 5000 - number)).save(file, 'PNG', compress_level=1)
        form = [
            b'--frontier\r\nContent-Disposition: form-data; name="picture"; filename="a.png"',
            b'\r\n\r\n', file.getvalue(), b'\r\n--frontier--\r\n',
        ]  # fmt: skip
        headers = {'Content-Type': 'multipart/form-data; boundary=frontier'}
        return Request(f'{served.address}api/upload', b''.join(form), headers)

    def send(request):
        with urlopen(request, timeout=120) as answer:
            return json.load(answer)['picture']

    before, requests = highest(), [prepared(number) for number in range(5)]
    with ThreadPoolExecutor(5) as visitors:
        assert len(set(visitors.map(send, requests))) == 5
    assert highest() - before < 1000  # MB; one of them takes about 600


def check_translation(browser, folder):
    source = cv2.imread(str(folder / 'pictures/first.png'))
    model = init_translator(None, folder / 'one/a.pth', 'cpu')
    assert browser.evaluate("find('error').innerText") == ''
    assert browser.evaluate(WIDTHS.format('.clickable img')) == [64, 64]
    assert browser.evaluate(WIDTHS.format('#maps img')) == []
    assert '64 × 48 pixels' in browser.evaluate('document.body.innerText')
    assert browser.evaluate("find('style-choice').hidden && find('target-choice').hidden")
    for image in browser.evaluate(WIDTHS.format('#thumbnails img')):
        assert image > 0
    # What is on the screen is the picture: both of one size, in the colours of the model.
    screen = cv2.imdecode(np.frombuffer(browser.screenshot(), np.uint8), cv2.IMREAD_COLOR)
    boxes = browser.evaluate(
        "['source', 'translation'].map((name) => { const b = find(name).getBoundingClientRect();"
        'return [b.x + scrollX, b.y + scrollY, b.width, b.height]; })'
    )
    assert boxes[0][1:] == boxes[1][1:] and boxes[0][2] > 300
    for box, expected in zip(boxes, (source, translated(model, source)[0]), strict=True):
        left, top, width, height = map(round, box)
        shown = cv2.resize(screen[top : top + height, left : left + width], (64, 48))
        assert np.abs(shown.astype(int) - expected).mean() < 8
    name, href = browser.evaluate("[find('download').download, find('download').href]")
    assert name == 'first_translated.png'
    assert np.array_equal(pixels(href), translated(model, source)[0])


def check_click(browser):
    browser.click('#translation', 0.25, 0.75)
    browser.wait_for(f"{SHOWN} && document.querySelectorAll('#maps img').length === 3")
    assert all(width > 100 for width in browser.evaluate(WIDTHS.format('#maps img')))
    marks = browser.evaluate(
        "[...document.querySelectorAll('.point')].map((mark) => {"
        'const m = mark.getBoundingClientRect();'
        'const b = mark.parentElement.getBoundingClientRect();'
        'return [mark.hidden, (m.x - b.x) / b.width, (m.y - b.y) / b.height]; })'
    )
    for hidden, x, y in marks:
        assert not hidden and abs(x - 0.25) < 0.01 and abs(y - 0.75) < 0.01
    assert len(marks) == 2
    # The address holds all of it.
    before = browser.evaluate("document.querySelector('#maps img').src")
    link = browser.evaluate('location.href')
    browser.open('about:blank')
    browser.open(link)
    browser.wait_for(f"{SHOWN} && document.querySelectorAll('#maps img').length === 3")
    assert browser.evaluate("document.querySelector('#maps img').src") == before


def check_styles(browser):
    browser.evaluate(
        "find('model').value = 'many/a.pth'; find('model').dispatchEvent(new Event('change'))"
    )
    browser.wait_for(f"{SHOWN} && !find('style-choice').hidden && !find('target-choice').hidden")
    seen = {browser.evaluate("find('translation').src")}
    maps = browser.evaluate("document.querySelector('#maps img').src")
    browser.click('#another')
    browser.wait_for(f"{SHOWN} && location.search.includes('style=2')")
    seen.add(browser.evaluate("find('translation').src"))
    assert len(seen) == 2 and browser.evaluate("find('style').value") == '2'
    assert browser.evaluate("document.querySelector('#maps img').src") != maps


def check_upload(browser, tmp_path):
    (tmp_path / 'own.png').write_bytes(as_png(picture((40, 90), seed=3)))
    browser.choose_file('#file', tmp_path / 'own.png')
    browser.wait_for(f"{SHOWN} && location.search.includes('uploaded')")
    assert browser.evaluate(WIDTHS.format('.clickable img')) == [90, 90]
    (tmp_path / 'notes.txt').write_text('no picture')
    browser.choose_file('#file', tmp_path / 'notes.txt')
    browser.wait_for(f"{SHOWN} && !find('error').hidden")
    shown = browser.evaluate("find('error').innerText")
    assert shown.startswith("'notes.txt' cannot be used: it is no picture")
    browser.click('#thumbnails button:nth-child(2)')
    browser.wait_for(f"{SHOWN} && find('error').hidden")
    assert browser.evaluate(WIDTHS.format('.clickable img')) == [64, 64]


def check_broken_model(browser):
    browser.evaluate(
        "find('model').selectedIndex = 3; find('model').dispatchEvent(new Event('change'))"
    )
    browser.wait_for(f"{SHOWN} && !find('error').hidden")
    assert 'is not a PyTorch checkpoint' in browser.evaluate("find('error').innerText")
    assert browser.evaluate("find('result').hidden")
