"""What is not a published network is refused by name."""

import re

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from sesim_mmagic.converters import convert, split

from . import published
from .published import constant, is_constant, listed

REFERENCES = {
    'ResNet': published.resnet(2, 2),
    'CycleGAN': published.resnet(2, 2, blur=False),
    'PatchGAN': published.patch_gan(2, 3),
    'CycleGAN D': published.patch_gan(2, 3, blur=False),
    'heads': published.heads((40, 128)),
    'perceptrons': published.perceptrons((3, 4), 5),
}


def states():
    found = {name: dict(reference.state_dict()) for name, reference in REFERENCES.items()}
    for name in ('single_image/latest_net_G.pth', 'single_image/latest_net_D.pth'):
        found[name] = {
            n: constant(n, shape) if is_constant(n) else torch.zeros(shape)
            for n, shape in listed(name).items()
        }
    return found


STATES = states()


def refused(state_dict, *words):
    with pytest.raises(ValueError) as error:
        convert(state_dict, 'a_file.pth')
    message = str(error.value)
    assert message.startswith('a_file.pth: ')
    for word in words:
        assert word in message, message
    return message


@settings(deadline=None, max_examples=40)
@given(st.data())
def test_each_tensor_is_needed(data):
    state_dict = dict(STATES[data.draw(st.sampled_from(sorted(STATES)))])
    name = data.draw(st.sampled_from(sorted(state_dict)))
    del state_dict[name]
    refused(state_dict)


@settings(deadline=None, max_examples=40)
@given(st.data())
def test_each_tensor_has_one_shape(data):
    state_dict = dict(STATES[data.draw(st.sampled_from(sorted(STATES)))])
    name = data.draw(st.sampled_from(sorted(state_dict)))
    state_dict[name] = torch.zeros(*state_dict[name].shape, 2)
    refused(state_dict)


@pytest.mark.parametrize('name', sorted(STATES))
def test_no_tensor_is_one_too_many(name):
    refused({**STATES[name], 'surplus': torch.zeros(1)}, "'surplus' is unknown")


@pytest.mark.parametrize('name', [n for n in sorted(STATES) if any(map(is_constant, STATES[n]))])
def test_each_constant_has_its_values(name):
    for tensor in filter(is_constant, STATES[name]):
        changed = STATES[name][tensor].clone()
        changed.view(-1)[-1] += 2**-12
        refused({**STATES[name], tensor: changed}, tensor, 'other values')


def test_what_is_missing_unexpected_and_of_another_shape_is_named():
    state_dict = dict(STATES['ResNet'])
    del state_dict['model.12.conv_block.5.bias']
    state_dict['model.8.weight'] = torch.zeros(8, 4, 5, 5)
    state_dict['model.99.filt'] = torch.zeros(1)
    refused(
        state_dict,
        'ResNetBlurGenerator(in_channels=3, base_channels=2, out_channels=3, num_blocks=2, ',
        "'model.12.conv_block.5.bias' is missing",
        "'model.99.filt' is unknown",
        "'model.8.weight' has shape (8, 4, 5, 5), the model needs (8, 4, 3, 3)",
    )


def test_long_lists_are_cut():
    half = dict(list(STATES['ResNet'].items())[:12])
    assert re.search(r'and \d+ more', refused(half, 'missing'))


def test_names_cannot_ask_for_endless_layers():
    """Layers are counted by tensors that are there, whatever numbers their names hold."""
    for name, (old, new) in {
        'PatchGAN': ('model.14.', 'model.999999999.'),
        'CycleGAN D': ('model.11.', 'model.999999999.'),
    }.items():
        refused({k.replace(old, new): v for k, v in STATES[name].items()}, 'missing')
    late = {
        re.sub(r'^model\.1[0-9]\.c', 'model.99999999.c', k): v for k, v in STATES['ResNet'].items()
    }
    refused(late, 'missing')


@pytest.mark.parametrize(
    'state_dict, words',
    [
        ({}, ['no network that is converted']),
        (
            {'features.0.weight': torch.zeros(1)},
            ['no network that is converted', 'features.0.weight'],
        ),
        ({'model.model.0.weight': torch.zeros(1)}, ['UNet', 'not converted']),
        ({'net.0.weight': torch.zeros(1)}, ['single pixels']),
        ({'enc_content.model.0.weight': torch.zeros(1)}, ['MUNIT']),
        ({'generators.zebra.model.1.weight': torch.zeros(1)}, ['from_sesim.py']),
        (
            {'module.model.1.weight': torch.zeros(1), 'other': torch.zeros(1)},
            ["'module.' before some names"],
        ),
        ({n: t.long() for n, t in STATES['PatchGAN'].items()}, ['torch.int64']),
    ],
)
def test_foreign_files(state_dict, words):
    refused(state_dict, *words)


def test_batch_norm_is_named():
    reference = published.resnet(2, 1, blur=False)
    reference.model[2] = nn.BatchNorm2d(2)
    refused(reference.state_dict(), 'batch norm', "'model.2.weight'")


def test_blur_in_one_direction_alone_is_named():
    blurred, strided = (published.resnet(2, 1, blur=blur).model for blur in (True, False))
    down = published.Numbered([*blurred[:13], *strided[11:]])
    up = published.Numbered([*strided[:11], *blurred[13:]])
    for reference in (down, up):
        refused(reference.state_dict(), 'is missing', 'blurs in both directions or in none')


def test_our_names_are_told_too():
    theirs = convert(STATES['ResNet'], 'G')
    ours = dict(theirs.tensors)
    assert convert(ours, 'G', published=False).config == theirs.config
    del ours['model.23.bias']
    with pytest.raises(ValueError, match="G: looks like .* 'model.23.bias' is missing"):
        convert(ours, 'G', published=False)
    with pytest.raises(ValueError, match='MUNIT'):
        convert({'content_encoder.0.weight': torch.zeros(1)}, 'G', published=False)


def test_a_checkpoint_of_another_make_is_refused_by_name():
    """Whatever the config in it says, and whichever weights are missing."""
    weights = {'generators.b.model.1.weight': torch.zeros(1)}
    text = "model = dict(target_domain='b', data_preprocessor={})\n"
    average = {**weights, 'generator_ema.module.b.other': torch.zeros(1)}
    for content, words in (
        (dict(meta=dict(cfg=text.format([1])), state_dict=weights), 'no checkpoint of'),
        (dict(meta=dict(cfg=text.format('3')), state_dict=weights), 'no checkpoint of'),
        (
            dict(meta=dict(cfg=text.format({})), state_dict=average),
            'x.pth, generator b: holds no network',
        ),
        (dict(meta=dict(cfg='model = 3'), state_dict=weights), "a 'model'.*AttributeError"),
        (dict(meta=dict(cfg='import os'), state_dict=weights), 'no assignment'),
        (dict(meta=dict(cfg="model = dict(target_domain=['b'])"), state_dict=weights), "\\['b'\\]"),
    ):
        with pytest.raises(ValueError, match=words):
            split(content, 'x.pth')
