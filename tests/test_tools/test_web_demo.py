"""The page to try models: what it answers, and what a visitor sees in a browser."""

import base64
import io
import re
import subprocess
import tempfile
import threading
import time

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope, init_default_scope
from PIL import Image

from sesim_mmagic.apis import init_translator, translate, translate_into_styles
from sesim_mmagic.apis.page_pictures import Pictures, fit_into
from sesim_mmagic.apis.try_page import PointMaps, Translators
from sesim_mmagic.engine.map_figure import Cell, draw_maps
from sesim_mmagic.registry import MODELS
from sesim_mmagic.translators.styles import draw_styles
from tests.test_tools.browser import CHROMIUM, Browser
from tests.test_tools.test_command_line import TOOLS, fails, tool
from tests.test_translators.tiny import TINY_RESNET

pytest.importorskip('flask')

COMMON = dict(discriminator=None, data_preprocessor=dict(type='DataPreprocessor'))
ONE_SIDED = dict(
    type='sesim_mmagic.OneSidedTranslator', generator=TINY_RESNET,
    source_domain='horse', target_domain='zebra', **COMMON,
)  # fmt: skip
MULTI_MODAL = dict(
    type='sesim_mmagic.MultiModalTranslator', source_domain='sketch', target_domain='painting',
    generator=dict(
        type='sesim_mmagic.MUNITGenerator', base_channels=4, num_blocks=1, mlp_channels=8,
        style_channels=3, style_downsamplings=2,
    ),
    **COMMON,
)  # fmt: skip
SEVERAL = {**MULTI_MODAL, 'two_sided': False}


@pytest.fixture(scope='module', autouse=True)
def default_scope():
    yield
    DefaultScope._instance_dict.clear()


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """``one/a.pth`` (one-sided), ``many/a.pth`` and ``way/a.pth`` (multi-modal), pictures."""
    root = tmp_path_factory.mktemp('web_demo')
    init_default_scope('mmagic')
    for name, settings in (('one', ONE_SIDED), ('many', MULTI_MODAL), ('way', SEVERAL)):
        (root / name).mkdir()
        torch.manual_seed(1)
        model = MODELS.build(settings)
        # Steeper than at the start of a training: a translation is to be no even grey.
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, std=0.2)
        content = dict(
            meta=dict(cfg=Config(dict(model=settings)).pretty_text), state_dict=model.state_dict()
        )
        torch.save(content, root / name / 'a.pth')
    (root / 'broken.pth').write_text('<html>404</html>')
    (root / 'secret.png').write_bytes(as_png(picture((32, 32))))
    (root / 'pictures').mkdir()
    for name, size in (('first.png', (48, 64)), ('large.png', (150, 100))):
        (root / 'pictures' / name).write_bytes(as_png(picture(size)))
    return root


def picture(size, seed=0):
    """Large even patches of random colours, (H, W, 3)."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (3, 4, 3), dtype=np.uint8)
    return cv2.resize(coarse, size[::-1], interpolation=cv2.INTER_NEAREST)


def as_png(pixels):
    return cv2.imencode('.png', pixels)[1].tobytes()


def arguments(folder, *more):
    models = [str(folder / name) for name in ('one/a.pth', 'many/a.pth', 'way/a.pth', 'broken.pth')]
    pictures = ['--pictures', str(folder / 'pictures')]
    return ['--model', *models, *pictures, '--feature-net', 'random', '--device', 'cpu', *more]


@pytest.fixture(scope='module')
def client(folder):
    demo = tool('web_demo')
    _, args = demo.parse_args(arguments(folder, '--max-side', '120', '--max-upload', '1'))
    return demo.create_app(args).test_client()


def ask(client, what, **query):
    answer = client.get(f'/api/{what}', query_string=query)
    assert answer.status_code == 200, answer.get_json()
    return answer.get_json()


def refusal(client, what, **query):
    answer = client.get(f'/api/{what}', query_string=query)
    assert answer.status_code == 400, answer.data[:200]
    return answer.get_json()['error']


def pixels(address):
    """The picture of a data URL, BGR."""
    head, _, data = address.partition(',')
    assert head == 'data:image/png;base64'
    return cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), cv2.IMREAD_COLOR)


def upload(client, data, name='mine.png'):
    return client.post('/api/upload', data=dict(picture=(io.BytesIO(data), name)))


def test_what_can_be_chosen(client, folder):
    found = ask(client, 'choices')
    assert found['models'][:3] == ['one/a.pth', 'many/a.pth', 'way/a.pth']
    assert found['models'][3] == f'{folder.name}/broken.pth'
    assert found['pictures'] == ['first.png', 'large.png']
    assert found['max_bytes'] == 1_000_000
    assert ask(client, 'model', model='one/a.pth') == dict(targets=['zebra'], styles=False)
    many = ask(client, 'model', model='many/a.pth')
    assert many == dict(targets=['painting', 'sketch'], styles=True)
    assert ask(client, 'model', model='way/a.pth')['targets'] == ['painting']


def test_translation_is_the_models(client, folder):
    source = cv2.imread(str(folder / 'pictures/first.png'))
    model = init_translator(None, folder / 'one/a.pth', 'cpu')
    found = ask(client, 'translation', model='one/a.pth', picture='first.png')
    assert np.array_equal(pixels(found['source']), source)
    assert np.array_equal(pixels(found['translation']), next(translate(model, source)))
    assert found['note'] == ''


def test_styles_have_the_numbers_of_the_command_line(client, folder):
    source = cv2.imread(str(folder / 'pictures/first.png'))
    model = init_translator(None, folder / 'many/a.pth', 'cpu')
    for target in ('painting', 'sketch'):
        expected = list(next(translate_into_styles(model, source, draw_styles(3, 3, 0), target)))
        assert not np.array_equal(expected[0], expected[2])
        for style in (1, 3):
            asked = dict(model='many/a.pth', picture='first.png', target=target, style=style)
            found = ask(client, 'translation', **asked)
            assert np.array_equal(pixels(found['translation']), expected[style - 1])


def test_large_pictures_are_scaled_down_and_the_page_says_so(client, folder):
    found = ask(client, 'translation', model='one/a.pth', picture='large.png')
    source = cv2.imread(str(folder / 'pictures/large.png'))
    assert pixels(found['source']).shape == pixels(found['translation']).shape == (120, 80, 3)
    # Area weighting keeps the mean.
    assert np.allclose(pixels(found['source']).mean((0, 1)), source.mean((0, 1)), atol=0.5)
    assert found['note'] == 'The picture of 100 x 150 pixels was scaled down to 80 x 120.'


def test_uploads(client, monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, 'tempdir', str(tmp_path))
    sent = picture((40, 50), seed=5)
    answer = upload(client, as_png(sent), '../../evil.png')
    assert answer.status_code == 200
    key = answer.get_json()['picture']
    found = ask(client, 'translation', model='one/a.pth', picture=key)
    assert np.array_equal(pixels(found['source']), sent)
    assert upload(client, as_png(sent)).get_json()['picture'] == key
    # Thumbnails are shown of both, and nothing stays behind.
    for name, size in ((key, (40, 50)), ('first.png', (48, 64))):
        data = client.get('/api/thumbnail', query_string=dict(picture=name)).data
        assert cv2.imdecode(np.frombuffer(data, np.uint8), 1).shape[:2] == size
    assert not list(tmp_path.rglob('*')) and not list(tmp_path.parent.glob('*evil*'))


def test_uploads_that_cannot_be_used(client):
    whole = as_png(np.random.default_rng(0).integers(0, 256, (60, 60, 3), dtype=np.uint8))
    bomb = io.BytesIO()
    Image.new('1', (8000, 8000)).save(bomb, 'PNG')
    for data, message in (
        (b'hello', "'mine.png' is no picture of a format that can be read"),
        (b'', "'mine.png' is no picture"),
        (whole[: len(whole) // 2], "'mine.png' cannot be used: "),
        (bomb.getvalue(), "'mine.png' has 8000 x 8000 pixels"),
    ):
        answer = upload(client, data)
        assert answer.status_code == 400
        assert message in answer.get_json()['error']
        assert '/tmp' not in answer.get_json()['error']
    answer = upload(client, b'0' * 1_100_000)
    assert answer.status_code == 413
    assert answer.get_json()['error'] == 'the file is too large: up to 1 MB are taken'


def test_old_uploads_are_forgotten():
    pictures = Pictures(max_uploads=2)
    keys = [pictures.upload('x', as_png(picture((16, 16), seed))) for seed in range(3)]
    assert [len(pictures.read(key)) for key in keys[1:]] == [2, 2]
    with pytest.raises(ValueError, match='upload the picture again'):
        pictures.read(keys[0])
    assert pictures.names() == []


def test_nothing_but_what_was_offered_is_opened(client, folder):
    secret = folder / 'secret.png'
    assert secret.is_file()
    for name in ('../secret.png', str(secret), '..', '', 'first.png/../../secret.png'):
        message = refusal(client, 'translation', model='one/a.pth', picture=name)
        assert message == f"there is no picture '{name}': choose one of those shown"
        assert client.get('/api/thumbnail', query_string=dict(picture=name)).status_code == 400
    message = refusal(client, 'translation', model='one/a.pth', picture='uploaded/../secret.png')
    assert 'upload the picture again' in message
    for model in (str(folder / 'one/a.pth'), '../a.pth', ''):
        message = refusal(client, 'model', model=model)
        assert message.startswith(f"there is no model '{model}'")
    assert client.get('/static/page.js').status_code == 200
    for path in ('../web_demo.py', '%2e%2e/web_demo.py', '..%2fweb_demo.py'):
        assert client.get(f'/static/{path}').status_code == 404


def test_bad_questions_get_one_sentence(client, folder):
    broken = ask(client, 'choices')['models'][3]
    assert 'is not a PyTorch checkpoint' in refusal(client, 'model', model=broken)
    known = dict(model='many/a.pth', picture='first.png')
    assert "not 'dog'" in refusal(client, 'translation', **known, target='dog')
    for style in ('0', '1001', '-3'):
        message = refusal(client, 'translation', **known, style=style)
        assert message == f'styles have numbers from 1 to 1000, got {style}'
    assert "'x' is no number" in refusal(client, 'translation', **known, style='x')
    assert 'from 0 to below 1' in refusal(client, 'maps', **known, x=1, y=0.5)
    assert 'from 0 to below 1' in refusal(client, 'maps', **known, x='nan', y=0.5)
    assert client.get('/api/maps', query_string=known).status_code == 400
    assert client.get('/api/nothing').status_code == 404
    assert 'error' in client.get('/api/nothing').get_json()


def test_unforeseen_errors_are_told_and_logged(folder, caplog):
    demo = tool('web_demo')
    _, args = demo.parse_args(arguments(folder))
    app = demo.create_app(args)

    @app.get('/api/bug')
    def bug():
        raise KeyError('weight')

    answer = app.test_client().get('/api/bug')
    assert answer.status_code == 500
    assert answer.get_json()['error'] == "this did not work (KeyError: 'weight')"
    assert 'Traceback' in caplog.text


def test_other_names_for_this_machine_are_not_answered(client, folder):
    for base, status in (
        ('http://127.0.0.1:7860', 200),
        ('http://localhost:7860', 200),
        ('http://evil.example:7860', 400),
    ):
        assert client.get('/api/choices', base_url=base).status_code == status
    demo = tool('web_demo')
    _, args = demo.parse_args(arguments(folder, '--host', '0.0.0.0'))
    open_to_all = demo.create_app(args).test_client()
    assert open_to_all.get('/api/choices', base_url='http://my.machine').status_code == 200
    assert "default-src 'self'" in client.get('/').headers['Content-Security-Policy']


def test_page_refers_to_nothing_elsewhere():
    page = TOOLS / 'web_demo'
    text = ''.join((page / name).read_text() for name in ('index.html', 'page.css', 'page.js'))
    assert '//' not in text.replace('// ', '')  # comments
    assert '@import' not in text


def test_page_has_what_its_script_looks_for():
    page = TOOLS / 'web_demo'
    wanted = set(re.findall(r"find\('([\w-]+)'\)", (page / 'page.js').read_text()))
    there = set(re.findall(r'id="([\w-]+)"', (page / 'index.html').read_text()))
    assert len(wanted) > 10 and wanted <= there


def test_maps_are_those_of_fsesim(client, folder):
    source = cv2.imread(str(folder / 'pictures/first.png'))
    translation = next(translate(init_translator(None, folder / 'one/a.pth', 'cpu'), source))
    net = dict(type='sesim_mmagic.VGG16Features', pretrained=None, seed=0)
    loss = MODELS.build(dict(type='sesim_mmagic.FSeSimLoss', feature_net=net))
    point = (0.3, 0.8)
    asked = dict(model='one/a.pth', picture='first.png', x=point[0], y=point[1])
    found = ask(client, 'maps', **asked)
    assert found['network'] == 'VGG16, weights: random'
    assert list(found['layers']) == ['relu3_1', 'relu4_1', 'relu4_3']
    maps = [
        loss.similarity_maps(torch.from_numpy(p.transpose(2, 0, 1)[None]) / 127.5 - 1, [point])
        for p in (source, translation)
    ]
    for index, (layer, address) in enumerate(found['layers'].items()):
        cells = [Cell(of_picture[index][0, 0].numpy(), point) for of_picture in maps]
        expected = draw_maps([(layer, ['source', 'translation'])], [('', cells)])
        # Maps of two runs may differ in the last digit, and a colour by one step.
        difference = np.abs(pixels(address)[..., ::-1].astype(int) - expected)
        assert difference.max() <= 2, layer
    other = ask(client, 'maps', **{**asked, 'x': 0.7})
    assert other['layers']['relu3_1'] != found['layers']['relu3_1']


def test_maps_of_large_pictures_are_looked_at_smaller():
    maps = PointMaps('random', 'cpu')
    large = picture((64, 520))
    figures = [maps.draw(p, p, (0.2, 0.4)) for p in (large, fit_into(large, 256))]
    for layer in figures[0]:
        assert np.array_equal(*(found[layer] for found in figures))
    with pytest.raises(ValueError, match='both sides at least'):
        maps.draw(picture((4, 400)), picture((4, 400)), (0.5, 0.5))


def test_models_are_loaded_once_and_few_are_kept(folder, tmp_path):
    paths = [tmp_path / f'{name}.pth' for name in 'ab']
    for path in paths:
        path.write_bytes((folder / 'one/a.pth').read_bytes())
    translators = Translators(list(map(str, paths)), 'cpu', max_loaded=1)
    first, second = translators.names()
    translators.describe(first)
    paths[0].unlink()
    translators.describe(first)  # still in memory
    translators.describe(second)
    with pytest.raises(FileNotFoundError, match='does not exist'):
        translators.describe(first)


def test_models_are_told_apart(folder):
    one, many = str(folder / 'one/a.pth'), str(folder / 'many/a.pth')
    assert Translators([one, 'cut_horse2zebra']).names() == ['one/a.pth', 'cut_horse2zebra']
    alike = ['x/one/a.pth', 'y/one/a.pth']
    assert Translators(alike).names() == alike
    with pytest.raises(ValueError, match='named once'):
        Translators([one, many, one])


def test_one_call_at_a_time_uses_a_model(folder):
    translators = Translators([str(folder / 'one/a.pth')], 'cpu')
    translators.describe('one/a.pth')
    (generator,) = translators._loaded['one/a.pth'].generators.values()
    inside, most = [], []

    def enter(*_):
        inside.append(1)
        most.append(len(inside))
        time.sleep(0.05)

    generator.register_forward_pre_hook(enter)

    def leave(*_):
        inside.pop()

    generator.register_forward_hook(leave)
    threads = [
        threading.Thread(target=translators.translate, args=('one/a.pth', picture((32, 32), seed)))
        for seed in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1, 1, 1, 1]


def test_arguments_are_checked(folder, capsys, tmp_path):
    model = str(folder / 'one/a.pth')
    for argv, message in (
        (['--pictures', 'gone'], "'gone' is no folder"),
        (['--pictures', str(tmp_path)], 'holds no picture'),
        (['--max-side', '8'], 'at least 16'),
        (['--max-upload', '0'], '--max-upload must be at least 1'),
        (['--model', model, model], 'named once'),
    ):
        assert message in fails(capsys, 'web_demo', '--model', model, *argv)


@pytest.fixture(scope='module')
def address(folder, python, tmp_path_factory):
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
        yield line.split()[1]
    finally:
        process.terminate()
        process.wait(30)


SHOWN = "document.body.dataset.state === 'ready'"
WIDTHS = "[...document.querySelectorAll('{}')].map((i) => i.naturalWidth)"


@pytest.mark.skipif(CHROMIUM is None, reason='no Chromium in PATH')
def test_visitor_in_a_browser(address, folder, tmp_path):
    with Browser(tmp_path / 'profile') as browser:
        browser.open(f'{address}?picture=first.png')
        browser.wait_for(SHOWN)
        check_translation(browser, folder)
        check_click(browser)
        check_styles(browser)
        check_upload(browser, tmp_path)
        check_broken_model(browser)


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
    for box, expected in zip(boxes, (source, next(translate(model, source))), strict=True):
        left, top, width, height = map(round, box)
        shown = cv2.resize(screen[top : top + height, left : left + width], (64, 48))
        assert np.abs(shown.astype(int) - expected).mean() < 8
    name, href = browser.evaluate("[find('download').download, find('download').href]")
    assert name == 'first_translated.png'
    assert np.array_equal(pixels(href), next(translate(model, source)))


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
    assert shown == "'notes.txt' is no picture of a format that can be read"
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
