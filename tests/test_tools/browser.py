"""Headless Chromium, driven through two pipes by its DevTools protocol."""

import base64
import itertools
import json
import os
import select
import shutil
import subprocess
import time

CHROMIUM = next(
    filter(None, map(shutil.which, ('chromium', 'chromium-browser', 'google-chrome'))), None
)


class Browser:
    """One page; use it in ``with``.

    Args:
        profile (Path): Empty folder for Chromium's own files.
        size (tuple[int, int]): Width and height of the window.
    """

    def __init__(self, profile, size=(1300, 900)):
        to_browser, self._write = os.pipe()
        self._read, from_browser = os.pipe()
        options = (
            f'--headless --no-sandbox --disable-gpu --disable-dev-shm-usage --no-first-run '
            f'--remote-debugging-pipe --user-data-dir={profile} --window-size={size[0]},{size[1]}'
        )
        # Chromium reads from descriptor 3 and writes to 4; by way of high ones, which are free.
        script = (
            f'exec 8<&{to_browser} 9>&{from_browser}; exec 3<&8 4>&9; '
            f'exec "{CHROMIUM}" {options} about:blank'
        )
        self._process = subprocess.Popen(
            ['bash', '-c', script],
            pass_fds=(to_browser, from_browser),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(to_browser)
        os.close(from_browser)
        self._numbers = itertools.count(1)
        self._received = b''
        self._session = None
        targets = self.call('Target.getTargets')['targetInfos']
        target = next(t['targetId'] for t in targets if t['type'] == 'page')
        attached = self.call('Target.attachToTarget', targetId=target, flatten=True)
        self._session = attached['sessionId']

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._process.terminate()
        self._process.wait(20)
        os.close(self._write)
        os.close(self._read)

    def call(self, method, **params):
        """Send a command and wait for its result."""
        message = dict(id=next(self._numbers), method=method, params=params)
        if self._session:
            message['sessionId'] = self._session
        os.write(self._write, json.dumps(message).encode() + b'\0')
        while True:
            answer = self._next_message()
            if answer.get('id') == message['id']:
                assert 'error' not in answer, (method, answer['error'])
                return answer['result']

    def _next_message(self, seconds=60):
        while b'\0' not in self._received:
            ready, _, _ = select.select([self._read], [], [], seconds)
            chunk = os.read(self._read, 1 << 16) if ready else b''
            assert chunk, 'Chromium does not answer'
            self._received += chunk
        message, _, self._received = self._received.partition(b'\0')
        return json.loads(message)

    def evaluate(self, expression):
        """The value of a JavaScript expression in the page."""
        found = self.call('Runtime.evaluate', expression=expression, returnByValue=True)
        assert 'exceptionDetails' not in found, found
        return found['result'].get('value')

    def wait_for(self, expression, seconds=90):
        """Wait until an expression is true."""
        end = time.monotonic() + seconds
        while not self.evaluate(expression):
            assert time.monotonic() < end, (expression, self.evaluate('document.body?.innerText'))
            time.sleep(0.05)

    def open(self, address):
        """Go to a page and wait until it is there."""
        self.call('Page.navigate', url=address)
        self.wait_for(f'location.href.startsWith({json.dumps(address)}) && !!document.body')

    def click(self, selector, x=0.5, y=0.5):
        """Click a place of an element, as shares of its width and height, with the mouse."""
        left, top, width, height = self.evaluate(
            f'(() => {{ const e = document.querySelector({json.dumps(selector)});'
            "e.scrollIntoView({block: 'center', behavior: 'instant'});"
            'const b = e.getBoundingClientRect(); return [b.x, b.y, b.width, b.height]; })()'
        )
        place = dict(x=left + x * width, y=top + y * height, button='left', clickCount=1)
        for kind in ('mousePressed', 'mouseReleased'):
            self.call('Input.dispatchMouseEvent', type=kind, **place)

    def choose_file(self, selector, path):
        """Choose a file in a file input."""
        root = self.call('DOM.getDocument')['root']['nodeId']
        node = self.call('DOM.querySelector', nodeId=root, selector=selector)['nodeId']
        self.call('DOM.setFileInputFiles', nodeId=node, files=[str(path)])

    def screenshot(self, path=None):
        """The page as far as it scrolls, as the bytes of a PNG file."""
        data = self.call('Page.captureScreenshot', captureBeyondViewport=True)['data']
        found = base64.b64decode(data)
        if path is not None:
            path.write_bytes(found)
        return found
