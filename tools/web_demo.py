"""A page to try models in a browser: source, translation, self-similarity at a clicked point.

    python tools/web_demo.py --model CHECKPOINT_OR_NAME [MORE ...] [--pictures FOLDER]

Serves this machine alone unless --host says otherwise. Needs Flask (pip install flask).
"""

import argparse

from sesim_mmagic.apis import command_line
from sesim_mmagic.apis.page import MAX_IMAGE_PIXELS


def parse_args(argv=None):
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        '--model',
        nargs='+',
        required=True,
        metavar='CHECKPOINT_OR_NAME',
        help='checkpoints that hold their config, or names of model-index.yml; loaded when chosen',
    )
    parser.add_argument('--pictures', metavar='FOLDER', help='pictures to choose from')
    parser.add_argument(
        '--host', default='127.0.0.1', help='address to serve (default: %(default)s)'
    )
    parser.add_argument(
        '--port', type=int, default=7860, help='0 takes a free one (default: %(default)s)'
    )
    parser.add_argument(
        '--device', help="for example 'cpu' or 'cuda:1'; by default the accelerator if there is one"
    )
    parser.add_argument(
        '--feature-net',
        default='torchvision',
        metavar='random|torchvision|PATH',
        help='weights of VGG16 for the maps: random (seed 0), ImageNet weights of torchvision '
        "(downloaded at the first click), or a file with a state dict of torchvision's vgg16 "
        '(default: %(default)s)',
    )
    parser.add_argument(
        '--max-side',
        type=int,
        default=1024,
        metavar='PIXELS',
        help='pictures with a longer side are scaled down (default: %(default)s)',
    )
    parser.add_argument(
        '--max-upload',
        type=int,
        default=20,
        metavar='MB',
        help='largest file that is taken (default: %(default)s)',
    )
    parser.add_argument(
        '--max-image-pixels',
        type=int,
        default=MAX_IMAGE_PIXELS,
        metavar='N',
        help='pictures of more pixels are not decoded (default: %(default)s)',
    )
    return parser.parse_args(argv)


if __name__ == '__main__':
    command_line.answer_first(parse_args)


import base64
import ipaddress
import re
import sys
from functools import partial
from pathlib import Path
from threading import BoundedSemaphore
from urllib.parse import urlsplit

import cv2

from sesim_mmagic.apis.model_zoo import check_model
from sesim_mmagic.apis.page.models import PointMaps, Translators
from sesim_mmagic.apis.page.pictures import Pictures, fit_into

try:
    import flask
    from werkzeug.exceptions import HTTPException, RequestEntityTooLarge
    from werkzeug.serving import WSGIRequestHandler, make_server
except ImportError as error:
    sys.exit(f'tools/web_demo.py needs Flask ({error}): pip install flask')

PAGE = Path(__file__).resolve().parent / 'web_demo'
THUMBNAIL = 144
# Requests that are answered at once, and those that may wait, for at most so many seconds.
AT_ONCE, WAITING, PATIENCE = 8, 56, 60
# A path of this machine in a message, in quotes or not; the last part may be shown.
PATHS = re.compile(
    r"""(?P<quote>['"])(?:~|/)(?:(?!(?P=quote)).)*/(?P<inside>(?:(?!(?P=quote))[^/])*)(?P=quote)
        |(?<![\w:/.<>])(?:~|/)[^\s'":]*/(?P<bare>[^\s'":/]*)""",
    re.VERBOSE,
)
HEADERS = {
    # Nothing comes from elsewhere, and no other page shows this one as its own.
    'Content-Security-Policy': "default-src 'self'; img-src 'self' data:; frame-ancestors 'none'",
    'X-Content-Type-Options': 'nosniff',
    'Referrer-Policy': 'no-referrer',
}


def create_app(args):
    """The page and what it asks for.

    Raises:
        FileNotFoundError: If the folder of pictures or a model is missing.
        ValueError: If an argument is out of range, or there is no picture or no such model.
    """
    if args.max_upload < 1:
        raise ValueError(f'--max-upload must be at least 1, got {args.max_upload}')
    for model in args.model:
        check_model(model)
    pictures = Pictures(args.pictures, args.max_side, max_image_pixels=args.max_image_pixels)
    if pictures.note:
        print(pictures.note, file=sys.stderr)
    translators = Translators(args.model, args.device)
    maps = PointMaps(args.feature_net, args.device)
    app = flask.Flask('web_demo', root_path=str(PAGE), static_folder='.', static_url_path='/static')
    app.config['MAX_CONTENT_LENGTH'] = args.max_upload * 1_000_000
    app.json.sort_keys = False  # layers stay in their order
    app.before_request(partial(refuse_other_pages, is_loopback(args.host)))
    limit_requests(app)
    app.after_request(add_headers)
    app.register_error_handler(Exception, as_sentence)
    add_routes(app, pictures, translators, maps)
    return app


def is_loopback(host):
    """Whether a name or address is one of this machine alone."""
    try:
        return host == 'localhost' or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def refuse_other_pages(is_local):
    """Answer this page and nobody else's: no other origin, and locally no other name.

    A page elsewhere may send requests here, or have its own name point here.
    """
    request = flask.request
    host = urlsplit(f'//{request.host}')
    if is_local and not is_loopback(host.hostname or ''):
        flask.abort(400, f"the page is not served under the name '{host.hostname}'")
    origin = request.headers.get('Origin')
    if origin is not None and urlsplit(origin).netloc != host.netloc:
        flask.abort(403, 'requests of other pages are not answered')
    site = request.headers.get('Sec-Fetch-Site', 'none')
    # A link to the page is no harm.
    if site not in ('same-origin', 'none') and request.path.startswith('/api/'):
        flask.abort(403, 'requests of other pages are not answered')


def limit_requests(app):
    """Let a few requests be answered at once and some more wait; the rest is refused."""
    turns, places = BoundedSemaphore(AT_ONCE), BoundedSemaphore(AT_ONCE + WAITING)

    @app.before_request
    def begin():
        flask.g.held = []
        for semaphore, seconds in ((places, 0), (turns, PATIENCE)):
            if not semaphore.acquire(timeout=seconds):
                flask.abort(503, 'too many requests at once: try again in a minute')
            flask.g.held.append(semaphore)

    @app.teardown_request
    def end(_):
        for semaphore in flask.g.pop('held', []):
            semaphore.release()


class Handler(WSGIRequestHandler):
    """Who sends nothing for a while gives the place to others."""

    timeout = 30


def add_routes(app, pictures, translators, maps):
    """The page, its lists, and one address for each thing that it shows."""

    def translated():
        """The chosen source with its first size, and its translation."""
        asked = flask.request.args
        source, size = pictures.read(asked['picture'])
        translation = translators.translate(
            asked['model'], source, asked.get('target'), number(asked.get('style', '1'), int)
        )
        return source, size, translation

    @app.get('/')
    def page():
        return app.send_static_file('index.html')

    @app.get('/api/choices')
    def choices():
        limit = app.config['MAX_CONTENT_LENGTH']
        shown = dict(pictures=pictures.names(), left_out=pictures.note)
        return dict(shown, models=translators.names(), max_bytes=limit)

    @app.get('/api/model')
    def model():
        return translators.describe(flask.request.args['model'])

    @app.get('/api/thumbnail')
    def thumbnail():
        picture, _ = pictures.read(flask.request.args['picture'])
        return flask.Response(png(fit_into(picture, THUMBNAIL)), mimetype='image/png')

    @app.post('/api/upload')
    def upload():
        file = flask.request.files['picture']
        return dict(picture=pictures.upload(file.filename, file.read()))

    @app.get('/api/translation')
    def translation():
        source, first, found = translated()
        height, width = source.shape[:2]
        before = f'The picture of {first[0]} x {first[1]} pixels'
        scaled = f'{before} was scaled down to {width} x {height}.'
        note = scaled if first != (width, height) else ''
        name = pictures.output_name(flask.request.args['picture'])
        shown = dict(source=data_url(source), translation=data_url(found))
        return dict(shown, note=note, name=f'{name}_translated.png')

    @app.get('/api/maps')
    def point_maps():
        asked = flask.request.args
        point = number(asked['x'], float), number(asked['y'], float)
        source, _, found = translated()
        figures = maps.draw(source, found, point)
        layers = {layer: data_url(figure[..., ::-1]) for layer, figure in figures.items()}
        return dict(network=maps.network, layers=layers)


def number(text, kind):
    """A number of an address."""
    try:
        return kind(text)
    except ValueError:
        raise ValueError(f"'{text}' is no number that can be used here") from None


def png(picture):
    """A picture (H, W, 3), BGR, as a PNG file."""
    return cv2.imencode('.png', picture)[1].tobytes()


def data_url(picture):
    """A picture (H, W, 3), BGR, as an address that holds it."""
    return f'data:image/png;base64,{base64.b64encode(png(picture)).decode()}'


def add_headers(response):
    """What a browser is to refuse."""
    response.headers.update(HEADERS)
    return response


def as_sentence(error):
    """Whatever went wrong as one sentence for the page; what nobody expected also in the log."""
    if isinstance(error, RequestEntityTooLarge):
        limit = flask.current_app.config['MAX_CONTENT_LENGTH'] // 1_000_000
        return dict(error=f'the file is too large: up to {limit} MB are taken'), 413
    if isinstance(error, HTTPException):
        return dict(error=error.description), error.code
    if isinstance(error, (ValueError, OSError)):
        return dict(error=without_paths(str(error))), 400
    flask.current_app.logger.exception('Unexpected error')
    reason = without_paths(f'{type(error).__name__}: {error}')
    return dict(error=f'this did not work ({reason})'), 500


def without_paths(text):
    """A message without the folders of this machine."""
    quoted = r'\g<quote>\g<inside>\g<quote>'
    return PATHS.sub(lambda found: found.expand(quoted) if found['quote'] else found['bare'], text)


@command_line.command()
def main(argv=None):
    """Serve until interrupted."""
    args = parse_args(argv)
    app = create_app(args)
    server = make_server(args.host, args.port, app, threaded=True, request_handler=Handler)
    host = f'[{args.host}]' if ':' in args.host else args.host
    print(f'Open http://{host}:{server.port}/ (stop with Ctrl+C)', flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        print('\nStopped')  # the way to end it: no error


if __name__ == '__main__':
    main()
