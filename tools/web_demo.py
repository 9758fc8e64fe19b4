"""A page to try models in a browser: source, translation, self-similarity at a clicked point.

    python tools/web_demo.py --model CHECKPOINT_OR_NAME [MORE ...] [--pictures FOLDER]

Serves this machine alone unless --host says otherwise. Needs NiceGUI (pip install nicegui).
"""

import argparse
from collections.abc import Sequence

from sesim_mmagic.apis import command_line
from sesim_mmagic.apis.feature_nets import add_feature_net


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    add = parser.add_argument
    add('--model', nargs='+', required=True, help='checkpoints that hold their config, or names')
    add('--pictures', metavar='FOLDER', help='pictures to choose from')
    add('--host', default='127.0.0.1', help='address to serve')
    add('--port', type=int, default=7860, help='0 takes a free one')
    add('--device', help='without it the accelerator if there is one')
    add_feature_net(parser, '--feature-net', default='package')
    add('--max-side', type=int, default=1024, help='larger pictures are scaled down')
    add('--max-upload', type=int, default=20, metavar='MB', help='largest file that is taken')
    add('--max-image-pixels', type=int, default=50_000_000, help='most that are decoded')
    args = parser.parse_args(argv)
    for name, least in (('max-side', 16), ('max-upload', 1), ('max-image-pixels', 1)):
        if getattr(args, name.replace('-', '_')) < least:
            parser.error(f'--{name} must be at least {least}')
    return args


if __name__ == '__main__':
    command_line.answer_first(parse_args)

import asyncio
import ipaddress
import logging
import re
import socket
import sys
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import cv2
from PIL import Image

from sesim_mmagic.apis.page import Workshop

try:
    import fastapi
    import uvicorn
    from nicegui import ui
    from starlette.datastructures import Headers
    from starlette.types import ASGIApp, Receive, Scope, Send
except ImportError as error:
    sys.exit(f'tools/web_demo.py needs NiceGUI ({error}): pip install nicegui')

# Folders of this machine in a message; the last part of a path may be shown.
FOLDERS = re.compile(r"""(?<=')[~/][^']*/|(?<=")[~/][^"]*/|(?<![\w:/.<>'"])[~/][^\s'":]*/""")
# Decodes and computes for all visitors, one call at a time: memory does not grow with them.
WORKER = ThreadPoolExecutor(max_workers=1)


class OwnPageOnly:
    """ASGI middleware: requests of other pages, under other names or of large files are refused.

    A page elsewhere may send requests here, or have its own name point here.
    """

    def __init__(self, app: ASGIApp, host: str, max_upload: int) -> None:
        self.app, self.is_local, self.max_upload = app, is_loopback(host), max_upload

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse, or pass on."""
        refusal = self.refusal(scope, Headers(scope=scope)) if 'headers' in scope else None
        app = fastapi.Response(*refusal, media_type='text/plain') if refusal else self.app
        await app(scope, receive, send)

    def refusal(self, scope: Scope, headers: Headers) -> tuple[str, int] | None:
        """Why a request is not answered, and the status; None where it is."""
        host, origin = urlsplit(f'//{headers.get("host", "")}'), headers.get('origin')
        if self.is_local and not is_loopback(host.hostname or ''):
            return 'the page is not served under this name', 400
        is_foreign = origin is not None and urlsplit(origin).netloc != host.netloc
        is_link = scope['path'] == '/'  # one that leads here is no harm
        site = 'none' if is_link else headers.get('sec-fetch-site', 'none')
        if is_foreign or site not in ('same-origin', 'none'):
            return 'requests of other pages are not answered', 403
        size = headers.get('content-length', '')
        is_small = size.isdigit() and int(size) < (self.max_upload + 1) * 1_000_000
        if scope.get('method') == 'POST' and not is_small:
            return f'the file is too large: up to {self.max_upload} MB are taken', 413
        return None


def is_loopback(host: str) -> bool:
    """Whether a name or address is one of this machine alone."""
    try:
        return host == 'localhost' or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


async def in_turn(function: Callable, *args: Any) -> Any:
    """What a function returns, called by the worker in its turn."""
    return await asyncio.get_running_loop().run_in_executor(WORKER, function, *args)


@contextmanager
def errors_in(label: ui.label) -> Iterator[None]:
    """Say in one line of the page what goes wrong inside."""
    try:
        yield
    except (ValueError, OSError) as error:
        label.text = FOLDERS.sub('', str(error))
    except Exception as error:  # whatever nobody expected
        logging.exception('Unexpected error')
        label.text = f'This did not work ({type(error).__name__})'


class Page:
    """What one visitor chose and sees."""

    def __init__(self, workshop: Workshop, max_upload: int) -> None:
        self.workshop, self.max_upload, self.lock = workshop, max_upload, asyncio.Lock()
        self.source = self.translation = self.style_picture = self.point = self.shown = None
        self.taken = 0  # pictures, to tell them apart
        ui.add_css('.q-uploader__list, .q-uploader__subtitle { display: none; }')
        ui.label('Try a model').classes('text-2xl')
        with ui.row().classes('items-center'):
            models, pictures = list(workshop.models), list(workshop.pictures)
            self.model = ui.select(models, value=models[0], label='Model', on_change=self.update)
            self.target = ui.select([], label='Into', on_change=self.update)
            picture = ui.select(pictures, label='Picture').classes('w-64')
            picture.on_value_change(lambda event: self.update(self.take(event.value)))
            self.add_upload('Upload a picture', self.take)
        with ui.row().classes('items-center') as self.styles:
            ui.label('Style')
            self.style = ui.slider(min=1, max=50, value=1).props('label-always').classes('w-64')
            self.style.on('change', lambda: self.update(self.take_style()))
            self.add_upload('Style of a picture', self.take_style)
        ui.label(workshop.note or '').classes('text-gray-600')
        self.status = ui.label().props('role=status')
        with ui.grid(columns=2).classes('w-full max-w-5xl'):
            for name in ('Source', 'Translation'):
                ui.label(name)
            self.images = [ui.interactive_image(on_mouse=self.click) for _ in range(2)]
        self.hint, self.maps = ui.label().props('role=note'), ui.image()
        ui.button('Download the translation', on_click=self.save).props('flat no-caps')
        ui.timer(0, self.update, once=True)

    def add_upload(self, label: str, take: Callable[[str, bytes], Awaitable]) -> None:
        """A place for a file, which ``take`` is given."""

        async def uploaded(event: Any) -> None:
            event.sender.reset()
            await self.update(take(event.file.name, await event.file.read()))

        def refuse() -> None:
            self.status.text = f'The file is too large: up to {self.max_upload} MB are taken'

        limit = dict(max_file_size=self.max_upload * 1_000_000, on_rejected=refuse)
        upload = ui.upload(label=label, auto_upload=True, on_upload=uploaded, **limit)
        upload.props('accept=image/* flat bordered').classes('w-56')

    async def take(self, name: str, data: bytes | None = None) -> None:
        """Another picture to translate."""
        self.source, self.name = await in_turn(self.workshop.read, name, data), name
        self.images[0].set_source(Image.fromarray(self.source[..., ::-1]))
        self.taken += 1

    async def take_style(self, name: str | None = None, data: bytes | None = None) -> None:
        """The style of a picture, without one that of the slider."""
        self.style_picture = name and await in_turn(self.workshop.read, name, data)
        self.taken += 1

    async def click(self, event: Any) -> None:
        """Compare at another point."""
        height, width = self.source.shape[:2]
        x, y, size = event.image_x, event.image_y, max(height, width) / 30
        self.point = min(max(x / width, 0), 0.9999), min(max(y / height, 0), 0.9999)
        cross = f'<path d="M{x - size} {y}h{2 * size}M{x} {y - size}v{2 * size}" stroke='
        for image in self.images:
            image.content = ''.join(
                f'{cross}"{color}" stroke-width="{size * share}"/>'
                for color, share in (('black', 0.4), ('white', 0.15))
            )
        await self.update()

    async def update(self, change: Awaitable | None = None) -> None:
        """Wait for a change, then show what the choices ask for; one after the other."""
        async with self.lock:
            self.status.text = 'Working ...'
            with errors_in(self.status):
                if change is not None:
                    await change
                await self.translate()
                await self.compare()
                self.status.text = 'Choose a picture' if self.source is None else ''
                return
            # No answer to an earlier question stays.
            self.shown = self.translation = None
            self.images[1].visible = self.maps.visible = False

    async def translate(self) -> None:
        """Show the translation, if it is another one."""
        model, target = self.model.value, self.target.value
        translator = (await in_turn(self.workshop.model, model)).model
        targets = list(translator.domains)
        target = target if target in targets else targets[0]
        self.target.set_options(targets, value=target)
        self.target.visible, self.styles.visible = len(targets) > 1, translator.style_channels > 0
        choice = (model, target, self.style.value, self.taken)
        if self.source is None or self.shown == choice:
            return
        style = self.style.value if self.style_picture is None else self.style_picture
        translation = await in_turn(self.workshop.translate, model, self.source, target, style)
        self.images[1].set_source(Image.fromarray(translation[..., ::-1]))
        self.images[1].visible, self.translation, self.shown = True, translation, choice

    async def compare(self) -> None:
        """Show the self-similarity of the point, or say why there is none; the rest stays."""
        self.maps.visible = False
        self.hint.text = (
            'Self-similarity: click on a picture to see which places are like that point, the '
            'bright ones, in each layer that FSeSim compares '
            f'({self.workshop.features}).'
        )
        if self.point is not None:
            with errors_in(self.hint):
                pair = self.source, self.translation
                figure = await in_turn(self.workshop.similarity_maps, *pair, self.point)
                self.maps.set_source(Image.fromarray(figure))
                self.maps.style(f'width: {figure.shape[1]}px').visible = True

    def save(self) -> None:
        """Download the translation."""
        if self.translation is not None:
            data = cv2.imencode('.png', self.translation)[1].tobytes()
            ui.download(data, f'{Path(self.name).stem}_translated.png')


def create_app(args: argparse.Namespace) -> fastapi.FastAPI:
    """The page as an ASGI application."""
    limits = args.max_side, args.max_image_pixels
    workshop = Workshop(args.model, args.pictures, args.feature_net, args.device, *limits)
    app = fastapi.FastAPI(openapi_url=None)
    app.add_middleware(OwnPageOnly, host=args.host, max_upload=args.max_upload)

    @ui.page('/')
    def page() -> None:
        Page(workshop, args.max_upload)

    ui.run_with(app, title='Try a model', show_welcome_message=False)
    return app


@command_line.command()
def main(argv: Sequence[str] | None = None) -> None:
    """Serve until interrupted."""
    args = parse_args(argv)
    app = create_app(args)
    is_v6 = ':' in args.host
    family = socket.AF_INET6 if is_v6 else socket.AF_INET
    listening = socket.create_server((args.host, args.port), family=family)
    host = f'[{args.host}]' if is_v6 else args.host
    print(f'Open http://{host}:{listening.getsockname()[1]}/ (stop with Ctrl+C)', flush=True)
    # Of more than a few dozen connections at once, the rest is refused.
    limits = dict(limit_concurrency=64, timeout_graceful_shutdown=2)
    with suppress(KeyboardInterrupt):  # the way to end it: no error
        uvicorn.Server(uvicorn.Config(app, log_level='warning', **limits)).run([listening])


if __name__ == '__main__':
    main()
