"""Generators of one channel beside pictures of three."""

import pytest
import torch
from mmengine import MessageHub

from sesim_mmagic.registry import MODELS as NETWORKS
from tests.test_translators import tiny
from tests.tiny import TINY_FSESIM, TINY_PATCH_NCE

GREY = dict(tiny.TINY_RESNET, in_channels=1, out_channels=1)
HOST = {**tiny.MMAGIC_NETWORKS['generator'], 'in_channels': 1, 'out_channels': 1}


def grey_batch(**options):
    """The batch of a data loader that read grey files: three equal channels."""
    batch = tiny.batch(**options)
    for images in batch['inputs'].values():
        for image in images:
            image[:] = image[:1].clone()
    for sample in batch['data_samples']:
        sample.set_tensor_data({k: v[:1].repeat(3, 1, 1) for k, v in sample.items()})
    return batch


def one_sided(**options):
    return tiny.one_sided(generator=GREY, ema=dict(momentum=0.1), **options)


def multi_modal(**options):
    generator = dict(
        type='sesim_mmagic.MUNITGenerator', base_channels=4, num_blocks=1, mlp_channels=8,
        style_channels=3, style_downsamplings=2, in_channels=1,
    )  # fmt: skip
    return tiny.multi_modal(generator=generator, **options)


def cyclegan(**options):
    disc = {**tiny.MMAGIC_NETWORKS['discriminator'], 'in_channels': 1}
    return tiny.cyclegan(generator=HOST, discriminator=disc, structure_loss=TINY_FSESIM, **options)


def pix2pix(**options):
    disc = {**tiny.MMAGIC_NETWORKS['discriminator'], 'in_channels': 2}
    return tiny.pix2pix(generator=HOST, discriminator=disc, **options)


MODELS = dict(one_sided=one_sided, multi_modal=multi_modal, cyclegan=cyclegan, pix2pix=pix2pix)


@pytest.mark.parametrize('build', MODELS.values(), ids=MODELS)
def test_a_step_and_a_test(build):
    model = build()
    MessageHub.get_current_instance().update_info('iter', 0)
    before = {k: v.clone() for k, v in model.generators.state_dict().items()}
    losses = model.train_step(tiny.batch(), tiny.optim_wrappers(model))
    assert losses and all(torch.isfinite(torch.as_tensor(v)).all() for v in losses.values())
    after = model.generators.state_dict()
    assert any(not torch.equal(after[k], v) for k, v in before.items())
    for sample in model.eval().test_step(tiny.batch(height=32, width=24)):
        for key in ('fake_zebra', 'img_horse', 'img_zebra'):  # colour pictures became grey
            picture = sample.get(key)
            assert picture.shape == (3, 32, 24)
            assert torch.equal(picture, picture[:1].expand(3, -1, -1))


def test_it_is_the_network_of_one_channel():
    """What comes out is what the bare network of one channel makes of the grey picture."""
    model = tiny.one_sided(generator=GREY)
    bare = NETWORKS.build(GREY)
    bare.load_state_dict(model.generators['zebra'].state_dict())
    images = torch.rand(1, 1, 32, 32) * 2 - 1
    expected = bare.eval()(images)
    found = model.translate(images.expand(-1, 3, -1, -1))
    assert torch.allclose(found, expected.expand(-1, 3, -1, -1), atol=1e-6)


def test_grey_pictures_stay_as_they_are():
    model = one_sided()
    batch = grey_batch()
    expected = [image.clone() for image in batch['inputs']['img_horse']]
    samples = model.eval().test_step(batch)
    for sample, image in zip(samples, expected, strict=True):
        assert torch.equal(sample.img_horse.to(image.dtype), image)


def test_colour_becomes_luminance():
    model = one_sided()
    batch = tiny.batch(size=1)
    blue, green, red = batch['inputs']['img_horse'][0].float()
    grey = 0.114 * blue + 0.587 * green + 0.299 * red
    image = model.data_preprocessor(batch, True)['inputs']['img_horse'][0]
    assert torch.allclose((image + 1) * 127.5, grey.expand(3, -1, -1), atol=1e-3)


def test_grey_sources_and_coloured_targets():
    model = tiny.one_sided(generator=dict(tiny.TINY_RESNET, in_channels=1))
    (sample,) = model.eval().test_step(tiny.batch(size=1))
    assert not torch.equal(sample.img_zebra[0], sample.img_zebra[1])
    assert torch.equal(sample.img_horse[0], sample.img_horse[1])


def test_three_channels_are_left_alone():
    model = tiny.one_sided()
    assert not model.data_preprocessor._forward_hooks
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())


def test_other_numbers_are_refused():
    with pytest.raises(ValueError, match="channels in the domain 'horse'; set in_channels"):
        tiny.one_sided(generator=dict(tiny.TINY_RESNET, in_channels=2))


def test_patch_nce_looks_behind_the_picture():
    loss = dict(TINY_PATCH_NCE, channels=(1, 8, 16, 16))
    with pytest.raises(ValueError, match='leave layer 0 out of structure_loss.layers'):
        tiny.one_sided(generator=GREY, structure_loss=loss)
    loss.update(layers=(4, 8, 12), channels=(8, 16, 16))
    model = tiny.one_sided(generator=GREY, structure_loss=loss)
    losses = model.train_step(tiny.batch(), tiny.optim_wrappers(model))
    assert torch.isfinite(losses['loss_structure'])
