"""Multi-modal translation: which losses train what, and how styles choose translations."""

import pytest
import torch
import torch.nn.functional as F
from mmengine import MessageHub

from sesim_mmagic.engine import CpuAmpOptimWrapper
from sesim_mmagic.translators.styles import draw_styles, interpolate_styles
from tests.test_translators.tiny import batch, multi_modal, optim_wrappers
from tests.tiny import TINY_FSESIM, TINY_LSESIM, TINY_PATCH_NCE

PATCH_NCE = {**TINY_PATCH_NCE, 'layers': (0, 1, 4), 'channels': (3, 4, 4)}
MUNIT = dict(structure_loss=None, cycle_weight=10.0)
SESIM_MUNIT = dict(content_weight=0.0)
ONE_SIDED = dict(two_sided=False, content_weight=0.0)


@pytest.fixture(autouse=True)
def iteration_of_the_runner():
    MessageHub.get_current_instance().update_info('iter', 0)


def images(model, data):
    return {
        domain: torch.stack(data['inputs'][f'img_{domain}']).float() / 127.5 - 1
        for domain in ('horse', 'zebra')
    }


@pytest.mark.parametrize('options', [MUNIT, SESIM_MUNIT, ONE_SIDED, dict(image_weight=0.0)])
@pytest.mark.parametrize('wrapper', [None, CpuAmpOptimWrapper])
def test_a_step_trains_every_network(options, wrapper):
    model = multi_modal(**options)
    before = {k: p.clone() for k, p in model.named_parameters() if 'loss' not in k}
    wrappers = optim_wrappers(model, **(dict(wrapper=wrapper) if wrapper else {}))
    losses = model.train_step(batch(), wrappers)
    assert all(torch.isfinite(value) for value in losses.values())
    still = [k for k, p in model.named_parameters() if k in before and torch.equal(p, before[k])]
    # A bias before an instance norm has no gradient but rounding.
    assert all(name.endswith('bias') for name in still), still


def slow_losses(model, data, drawn):
    """MUNIT's Sec. 4, one term after the other; x of domain 1 is a horse, of 2 a zebra."""
    x = images(model, data)
    g1, g2 = model.generators['horse'], model.generators['zebra']
    c1, s1 = g1.encode_content(x['horse']), g1.encode_style(x['horse'])
    c2, s2 = g2.encode_content(x['zebra']), g2.encode_style(x['zebra'])
    x12, x21 = g2.decode(c1, drawn['zebra']), g1.decode(c2, drawn['horse'])
    c12, s12, c21, s21 = (
        g2.encode_content(x12), g2.encode_style(x12), g1.encode_content(x21), g1.encode_style(x21)
    )  # fmt: skip

    def gan(domain, image, label):
        return sum(((s - label) ** 2).mean() for s in model.discriminators[domain](image))

    return dict(
        loss_image_reconstruction=10
        * (F.l1_loss(g1.decode(c1, s1), x['horse']) + F.l1_loss(g2.decode(c2, s2), x['zebra'])),
        loss_style_reconstruction=F.l1_loss(s12, drawn['zebra']) + F.l1_loss(s21, drawn['horse']),
        loss_content_reconstruction=F.l1_loss(c12, c1) + F.l1_loss(c21, c2),
        loss_cycle=7
        * (F.l1_loss(g1.decode(c12, s1), x['horse']) + F.l1_loss(g2.decode(c21, s2), x['zebra'])),
        loss_gan_d=gan('zebra', x12, 0)
        + gan('zebra', x['zebra'], 1)
        + gan('horse', x21, 0)
        + gan('horse', x['horse'], 1),
        loss_gan_g=gan('zebra', x12, 1) + gan('horse', x21, 1),
    )


def test_losses_are_those_of_the_paper():
    model = multi_modal(structure_loss=None, cycle_weight=7.0)
    data, wrappers = batch(), optim_wrappers(model, optimizer=torch.optim.SGD, lr=0.0)
    torch.manual_seed(3)
    drawn = {domain: torch.randn(2, 3) for domain in ('zebra', 'horse')}
    with torch.no_grad():
        expected = slow_losses(model, data, drawn)
    torch.manual_seed(3)
    found = model.train_step(data, wrappers)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, msg=name)


def test_one_sided_has_one_auto_encoder_and_no_way_back():
    model = multi_modal(**ONE_SIDED)
    assert list(model.generators) == list(model.discriminators) == ['zebra']
    losses = model.train_step(batch(), optim_wrappers(model))
    assert 'loss_cycle' not in losses and 'loss_content_reconstruction' not in losses
    (sample,) = model.eval().test_step(batch(size=1))
    assert sample.fake_zebra.shape == (3, 32, 32) and 'fake_horse' not in sample


@pytest.mark.parametrize('two_sided', [True, False])
def test_styles_are_read_only_where_they_are_used(two_sided):
    model = multi_modal(two_sided=two_sided, content_weight=0.0)
    read = []
    for network in model.generators.values():
        network.style_encoder.register_forward_hook(lambda network, *_: read.append(network))
    model.train_step(batch(), optim_wrappers(model))
    # Of both images and both translations; one-sided of the target and its translation.
    assert len(read) == (4 if two_sided else 2)


@pytest.mark.parametrize('loss', [TINY_FSESIM, TINY_LSESIM, PATCH_NCE])
@pytest.mark.parametrize('two_sided', [True, False])
def test_every_structure_loss_trains(loss, two_sided):
    model = multi_modal(structure_loss=loss, two_sided=two_sided)
    before = {k: p.clone() for k, p in model.structure_loss.named_parameters()}
    losses = model.train_step(batch(), optim_wrappers(model))
    assert losses['loss_structure'] > 0
    assert ('loss_contrastive' in losses) == (loss is TINY_LSESIM)
    trained = dict(model.structure_loss.named_parameters())
    assert all(not torch.equal(before[k], trained[k]) for k in before if 'weight' in k)


def test_a_perceptual_loss_stands_beside_the_structure_loss():
    perceptual = dict(
        type='sesim_mmagic.PerceptualLoss', layers=('relu2_2',), loss_weight=1.0,
        feature_net=TINY_FSESIM['feature_net'],
    )  # fmt: skip
    model = multi_modal(more_losses=dict(perceptual=perceptual))
    losses = model.train_step(batch(), optim_wrappers(model))
    assert losses['loss_perceptual'] > 0 and losses['loss_structure'] > 0


@pytest.mark.parametrize('height, width', [(32, 32), (17, 30)])
def test_one_source_many_translations(height, width):
    model, source = multi_modal(decode_batch=2), torch.rand(2, 3, height, width)
    styles = draw_styles(5, 3, seed=0)
    found = model.translate(source, styles=styles)
    assert found.shape == (2, 5, 3, height, width)
    assert not torch.allclose(found[0, 0], found[0, 1])
    torch.testing.assert_close(model.translate(source), found[:, 0])  # the seed's first
    # Neither the chunks nor the number of styles matter.
    for decode_batch, count in ((8, 5), (2, 3)):
        other = multi_modal(decode_batch=decode_batch).translate(source, styles=styles[:count])
        torch.testing.assert_close(other, found[:, :count])


def test_more_styles_than_memory_holds_are_decoded_a_few_at_a_time():
    model, source = multi_modal(decode_batch=2).eval(), torch.rand(2, 3, 32, 32)
    encoded, decoded = [], []
    generators = model.generators
    generators['horse'].content_encoder.register_forward_hook(lambda *_: encoded.append(1))
    generators['zebra'].up_path.register_forward_hook(lambda *args: decoded.append(len(args[2])))
    chunks = model.translations(source, styles=draw_styles(5, 3, seed=0))
    first = next(chunks)
    assert first.shape == (2, 2, 3, 32, 32) and decoded == [2, 2]  # nothing ahead of time
    found = torch.cat([first, *chunks], 1)
    assert decoded == [2, 2, 2, 2, 1, 1] and encoded == [1]
    assert torch.equal(found, model.translate(source, styles=draw_styles(5, 3, 0)))


def test_style_of_a_reference_of_any_size():
    model, source = multi_modal(), torch.rand(1, 3, 32, 32)
    style = model.eval().encode_style(torch.rand(1, 3, 50, 21))
    assert style.shape == (1, 3)
    found = model.translate(source, styles=style)[:, 0]
    generator = model.generators['zebra']
    content = model.generators['horse'].encode_content(source)
    torch.testing.assert_close(found, generator.decode(content, style))


def test_interpolation_ends_at_both_styles():
    first, last = draw_styles(2, 3, seed=1)
    styles = interpolate_styles(first, last, 4)
    torch.testing.assert_close(
        styles, torch.stack([first + (last - first) * i / 3 for i in range(4)])
    )
    for bad in ((first, last[:2], 4), (first, last, 1), (first[None], last[None], 3)):
        with pytest.raises(ValueError, match='takes two styles of one length'):
            interpolate_styles(*bad)


def test_styles_of_a_test():
    assert torch.equal(draw_styles(2, 8, 0), draw_styles(5, 8, 0)[:2])
    assert not torch.equal(draw_styles(1, 8, 0), draw_styles(1, 8, 1))
    assert not torch.equal(draw_styles(1, 8, 0, 'a/1.png'), draw_styles(1, 8, 0, 'a/2.png'))
    assert torch.equal(draw_styles(1, 8, 0, 'a/1.png'), draw_styles(1, 8, 0, 'b/1.png'))
    styles = draw_styles(4000, 2, 0)
    assert styles.mean().abs() < 0.05 and abs(styles.std() - 1) < 0.05


def named(data, *names):
    for sample, name in zip(data['data_samples'], names, strict=True):
        sample.set_metainfo(dict(img_horse_path=name, img_zebra_path=name))
    return data


@pytest.mark.parametrize('shared', [False, True])
def test_a_test_step_gives_the_first_and_all_translations(shared):
    model = multi_modal(two_sided=False, num_styles=3, shared_styles=shared).eval()
    samples = model.test_step(named(batch(), 'a/1.png', 'a/2.png'))
    source = images(model, batch())['horse']
    for index, sample in enumerate(samples):
        assert sample.fakes_zebra.shape == (3, 3, 32, 32)
        assert torch.equal(sample.fake_zebra, sample.fakes_zebra[0])
        styles = draw_styles(3, 3, 0, None if shared else f'{index + 1}.png')
        expected = model.translate(source[index : index + 1], styles=styles)[0]
        torch.testing.assert_close(sample.fakes_zebra, (expected + 1) * 127.5, atol=1e-3, rtol=1e-4)


def test_moving_average_translates():
    model = multi_modal(ema=dict(momentum=0.5))
    model.train_step(batch(), optim_wrappers(model, lr=0.1))
    source = torch.rand(1, 3, 32, 32)
    averaged = model.translate(source)
    for parameter in model.generators.parameters():
        parameter.data.zero_()
    assert torch.equal(model.translate(source), averaged)


@pytest.mark.parametrize(
    'options, message',
    [
        (dict(two_sided=False, cycle_weight=1.0), 'cycle_weight needs the way back'),
        (dict(style_weight=0.0, image_weight=0.0), 'nothing would train the style encoder'),
        (dict(num_styles=0), 'num_styles must be a whole number, positive, got 0'),
        (dict(target_domain='horse'), "are both 'horse'"),
    ],
)
def test_bad_settings(options, message):
    with pytest.raises(ValueError, match=message):
        multi_modal(**options)


def test_bad_styles():
    model, source = multi_modal(), torch.rand(2, 3, 32, 32)
    for styles in (torch.rand(1, 8), torch.rand(3), torch.rand(0, 3)):
        with pytest.raises(ValueError, match=r'must have shape \(N, 3\) or \(B, N, 3\)'):
            model.translate(source, styles=styles)
    with pytest.raises(ValueError, match='styles for 3 images, and 2 images'):
        model.translate(source, styles=torch.rand(3, 1, 3))
