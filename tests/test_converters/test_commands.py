"""tools/model_converters, called as from a shell."""

import pickle

import pytest
import torch

from sesim_mmagic.apis import init_translator
from tests.test_tools.test_command_line import fails, tool

from . import published
from .published import same

NAMES = 'latest_net_G.pth', 'latest_net_D.pth', 'latest_net_F.pth'


@pytest.fixture
def files(tmp_path):
    references = (
        published.resnet(4, 5),
        published.patch_gan(4),
        published.perceptrons((3, 8, 16, 16, 16), 6),
    )
    for name, reference in zip(NAMES, references, strict=True):
        torch.save(reference.state_dict(), tmp_path / name)
    return [tmp_path / name for name in NAMES]


def read(path):
    return torch.load(path, weights_only=True)


def domains(tmp_path, name='converted.pth'):
    return ['--source', 'horse', '--target', 'zebra', '--out', str(tmp_path / name)]


def test_there_and_back(files, tmp_path, capsys):
    tool('model_converters/to_sesim').main([*map(str, files), *domains(tmp_path)])
    said = capsys.readouterr().out
    assert 'num_blocks=5, num_downsamplings=2' in said and 'converted.pth: 62 tensors' in said
    assert '4 tensors left out: blur kernels' in said
    model = init_translator(None, tmp_path / 'converted.pth', device='cpu')
    assert model.source_domain == 'horse'

    tool('model_converters/from_sesim').main(
        [str(tmp_path / 'converted.pth'), '--out', str(tmp_path / 'back')]
    )
    assert sorted(p.name for p in (tmp_path / 'back').iterdir()) == sorted(NAMES)
    assert all(same(read(tmp_path / 'back' / f.name), read(f)) for f in files)
    said = capsys.readouterr().out
    assert 'BGR' not in said and 'moving averages' not in said and 'Not written' not in said


def test_two_directions_and_old_statistics(tmp_path, capsys):
    paths = []
    for name in ('G_A', 'G_B'):
        paths.append(str(tmp_path / f'latest_net_{name}.pth'))
        reference = published.resnet(4, 2, blur=False, statistics=True)
        # As PyTorch 0.3 wrote files.
        torch.save(reference.state_dict(), paths[-1], _use_new_zipfile_serialization=False)
    arguments = [paths[0], '--back', paths[1], *domains(tmp_path)]
    tool('model_converters/to_sesim').main(arguments)
    assert '27 tensors left out' in capsys.readouterr().out
    out = tmp_path / 'back'
    tool('model_converters/from_sesim').main([str(tmp_path / 'converted.pth'), '--out', str(out)])
    for path in paths:
        original = read(path)
        found = read(out / path.rsplit('/', 1)[1])
        assert same(found, {k: original[k] for k in original if k in found})
        assert all('running' in k or 'num_batches' in k for k in original if k not in found)


class Evil:
    def __reduce__(self):
        return open, ('evil', 'w')


def test_bad_files(files, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    generator, discriminator, heads = map(str, files)
    missing, cut, evil, sincut = 'missing.pth', 'cut.pth', 'evil.pth', 'sincut.pth'
    torch.save(published.filled(published.listed('sincut/latest_net_G.pth')), tmp_path / sincut)
    (tmp_path / cut).write_bytes(files[0].read_bytes()[:1000])
    (tmp_path / evil).write_bytes(pickle.dumps(dict(a=Evil())))
    for arguments, words in (
        ([missing], "'missing.pth' does not exist"),
        ([cut], "'cut.pth' cannot be read"),
        ([evil], "'evil.pth' cannot be read"),
        ([discriminator], 'latest_net_D.pth holds BlurPatchGAN'),
        ([generator, generator.replace('_G', '_X')], 'latest_net_X.pth'),
        ([sincut], '--no-tanh (as in SinCUT) is needed'),
        ([generator, '--tanh'], 'and for no other'),
        (
            [generator, heads, '--layers', 'relu1_1'],
            'by --layers (taken were: relu1_1)',
        ),
    ):
        found = fails(capsys, 'model_converters/to_sesim', *arguments, *domains(tmp_path))
        assert words in found, found
    for arguments, words in (
        (missing, 'does not exist'),
        (evil, 'cannot be read'),
        (generator, 'no checkpoint of this package'),
    ):
        found = fails(capsys, 'model_converters/from_sesim', arguments, '--out', tmp_path / 'back')
        assert words in found, found
    assert not (tmp_path / 'evil').exists()
    assert not (tmp_path / 'converted.pth').exists() and not (tmp_path / 'back').exists()
