"""The page to try models: what it answers, and what it refuses."""

import io
import os
import re
import tempfile
import threading
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from sesim_mmagic.apis import init_translator
from sesim_mmagic.engine.map_figure import Cell, draw_maps
from sesim_mmagic.registry import MODELS
from sesim_mmagic.translators.styles import draw_styles
from tests.test_apis.inference import translated
from tests.test_tools.test_command_line import TOOLS, fails, tool
from tests.test_tools.web_demo_models import arguments, as_png, picture, pixels

pytest.importorskip('flask')


@pytest.fixture(scope='module', autouse=True)
def folder(demo_models):
    return demo_models


@pytest.fixture(scope='module')
def client(folder):
    demo = tool('web_demo')
    args = demo.parse_args(arguments(folder, '--max-side', '120', '--max-upload', '1'))
    return demo.create_app(args).test_client()


def ask(client, what, **query):
    answer = client.get(f'/api/{what}', query_string=query)
    assert answer.status_code == 200, answer.get_json()
    return answer.get_json()


def refusal(client, what, **query):
    answer = client.get(f'/api/{what}', query_string=query)
    assert answer.status_code == 400, answer.data[:200]
    return answer.get_json()['error']


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
    assert np.array_equal(pixels(found['translation']), translated(model, source)[0])
    assert found['note'] == ''


def test_styles_have_the_numbers_of_the_command_line(client, folder):
    source = cv2.imread(str(folder / 'pictures/first.png'))
    model = init_translator(None, folder / 'many/a.pth', 'cpu')
    for target in ('painting', 'sketch'):
        expected = translated(model, source, target, draw_styles(3, 3, 0))[0]
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
        (b'hello', "'mine.png' cannot be used: it is no picture"),
        (b'', "'mine.png' cannot be used: it is no picture"),
        (whole[: len(whole) // 2], "'mine.png' cannot be used: "),
        (bomb.getvalue(), "'mine.png' cannot be used: 8000 x 8000 are 64000000 pixels"),
    ):
        answer = upload(client, data)
        assert answer.status_code == 400
        assert message in answer.get_json()['error']
        assert '/tmp' not in answer.get_json()['error']
    answer = upload(client, b'0' * 1_100_000)
    assert answer.status_code == 413
    assert answer.get_json()['error'] == 'the file is too large: up to 1 MB are taken'


def test_nothing_but_what_was_offered_is_opened(client, folder):
    secret = folder / 'secret.png'
    assert secret.is_file()
    for name in ('../secret.png', str(secret), '..', '', 'first.png/../../secret.png'):
        message = refusal(client, 'translation', model='one/a.pth', picture=name)
        shown = 'secret.png' if name == str(secret) else name
        assert message == f"there is no picture '{shown}': choose one of those shown"
        assert client.get('/api/thumbnail', query_string=dict(picture=name)).status_code == 400
    message = refusal(client, 'translation', model='one/a.pth', picture='/uploaded/../secret.png')
    assert 'upload the picture again' in message
    for model in (str(folder / 'one/a.pth'), '../a.pth', ''):
        message = refusal(client, 'model', model=model)
        assert message.startswith("there is no model '")
    assert client.get('/static/page.js').status_code == 200
    for path in ('../web_demo.py', '%2e%2e/web_demo.py', '..%2fweb_demo.py'):
        assert client.get(f'/static/{path}').status_code == 404


def test_bad_questions_get_one_sentence(client, folder):
    broken = ask(client, 'choices')['models'][3]
    message = refusal(client, 'model', model=broken)
    assert 'is not a PyTorch checkpoint' in message and str(folder) not in message
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
    args = demo.parse_args(arguments(folder))
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
        ('http://[::1]:7860', 200),
        ('http://127.0.0.2', 200),
        ('http://evil.example:7860', 400),
        ('http://127.0.0.1.evil.example', 400),
        ('http://192.168.1.5:7860', 400),
    ):
        assert client.get('/api/choices', base_url=base).status_code == status, base
    demo = tool('web_demo')
    for host in ('::1', '127.0.0.3'):
        args = demo.parse_args(arguments(folder, '--host', host))
        local = demo.create_app(args).test_client()
        assert local.get('/api/choices', base_url='http://[::1]:7860').status_code == 200
        assert local.get('/api/choices', base_url='http://evil.example').status_code == 400
    args = demo.parse_args(arguments(folder, '--host', '0.0.0.0'))
    open_to_all = demo.create_app(args).test_client()
    assert open_to_all.get('/api/choices', base_url='http://my.machine').status_code == 200
    assert "default-src 'self'" in client.get('/').headers['Content-Security-Policy']


def test_other_pages_are_not_answered(client):
    own = 'http://localhost:7860'
    sent = as_png(picture((16, 16)))
    for headers, status in (
        ({}, 200),
        ({'Origin': own, 'Sec-Fetch-Site': 'same-origin'}, 200),
        ({'Origin': 'http://evil.example'}, 403),
        ({'Origin': 'http://localhost:8000'}, 403),
        ({'Origin': 'null'}, 403),
        ({'Sec-Fetch-Site': 'cross-site'}, 403),
        ({'Sec-Fetch-Site': 'same-site'}, 403),
    ):
        data = dict(picture=(io.BytesIO(sent), 'mine.png'))
        answer = client.post('/api/upload', data=data, base_url=own, headers=headers)
        assert answer.status_code == status, headers
        answer = client.get('/api/choices', base_url=own, headers=headers)
        assert answer.status_code == status, headers
    # A link that leads here is no harm.
    assert client.get('/', headers={'Sec-Fetch-Site': 'cross-site'}).status_code == 200


def test_few_requests_are_answered_at_once(folder, monkeypatch):
    demo = tool('web_demo')
    monkeypatch.setattr(demo, 'AT_ONCE', 2)
    monkeypatch.setattr(demo, 'WAITING', 1)
    monkeypatch.setattr(demo, 'PATIENCE', 60)
    args = demo.parse_args(arguments(folder))
    app, go, inside, most = demo.create_app(args), threading.Event(), [], []

    @app.get('/api/slow')
    def slow():
        inside.append(1)
        most.append(len(inside))
        go.wait(60)
        inside.pop()
        return {}

    def ask_slow():
        return app.test_client().get('/api/slow').status_code

    with ThreadPoolExecutor(4) as threads:
        answers = [threads.submit(ask_slow) for _ in range(4)]
        refused, _ = wait(answers, 60, FIRST_COMPLETED)
        go.set()
    assert [answer.result() for answer in refused] == [503] and max(most) == 2
    assert sorted(answer.result() for answer in answers) == [200, 200, 200, 503]
    assert ask_slow() == 200


def test_messages_show_no_folders():
    text = tool('web_demo').without_paths
    for before, after in (
        ("Checkpoint '/home/me/my work/a.pth' is damaged", "Checkpoint 'a.pth' is damaged"),
        ('no "/a/b\'s/c.pth" here', 'no "c.pth" here'),
        ("'/a/b' and '/c d/e/'", "'b' and ''"),
        ('[Errno 2] No such file: /home/me/x.png', '[Errno 2] No such file: x.png'),
        ('~/a/b.pth and /c/d: e', 'b.pth and d: e'),
        ('https://host/a/b.pth stays, and 1/2', 'https://host/a/b.pth stays, and 1/2'),
    ):
        assert text(before) == after


def test_only_regular_files_are_offered(folder, tmp_path):
    """A pipe or a device would keep a request for ever; names may be of any bytes."""
    demo = tool('web_demo')
    names = ['in/a.jpg', 'in/a.png', os.fsdecode(b'l\xf6we.PNG')]
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(as_png(picture((16, 16))))
    os.mkfifo(tmp_path / 'pipe.png')
    (tmp_path / 'zero.png').symlink_to('/dev/zero')
    (tmp_path / 'old.gif').touch()
    (tmp_path / '.hidden.png').write_bytes(as_png(picture((16, 16))))
    args = demo.parse_args(arguments(folder, '--pictures', str(tmp_path)))
    client = demo.create_app(args).test_client()
    choices = ask(client, 'choices')
    assert choices['left_out'] == '3 of 6 files left out: .gif 1, device 1, named pipe 1'
    shown = choices['pictures']
    assert shown == ['in/a.jpg', 'in/a.png', 'l\\udcf6we.PNG']
    called = ['a.jpg_translated.png', 'a.png_translated.png', 'l\\udcf6we_translated.png']
    for name, wanted in zip(shown, called, strict=True):
        assert ask(client, 'translation', model='one/a.pth', picture=name)['name'] == wanted
    for name in ('pipe.png', 'zero.png', '.hidden.png'):
        assert 'there is no picture' in refusal(
            client, 'translation', model='one/a.pth', picture=name
        )


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
    translation = translated(init_translator(None, folder / 'one/a.pth', 'cpu'), source)[0]
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


def test_missing_weights_name_the_option(folder):
    demo = tool('web_demo')
    args = demo.parse_args(arguments(folder, '--feature-net', '/no/where/vgg16.pth'))
    asked = dict(model='one/a.pth', picture='first.png', x=0.5, y=0.5)
    message = refusal(demo.create_app(args).test_client(), 'maps', **asked)
    assert message.startswith("VGG16 weights 'vgg16.pth' do not exist; ")
    assert message.endswith('--feature-net PATH or random') and 'pretrained' not in message


def test_arguments_are_checked(folder, capsys, tmp_path):
    model = str(folder / 'one/a.pth')
    for argv, message in (
        (['--pictures', 'gone'], "'gone' is no folder"),
        (['--pictures', str(tmp_path)], 'holds no picture'),
        (['--max-side', '8'], 'at least 16'),
        (['--max-upload', '0'], '--max-upload must be at least 1'),
        (['--model', model, model], 'named once'),
        (['--model', model, 'gone.pth'], "Checkpoint 'gone.pth' does not exist"),
        (['--model', 'no_such_model'], "no released model 'no_such_model'"),
        (['--max-image-pixels', '0'], 'max_image_pixels must be at least 1'),
    ):
        assert message in fails(capsys, 'web_demo', '--model', model, *argv)
