"""An exported model without PyTorch or MMagic: python run_onnx.py MODEL.onnx PICTURE OUT.png.

A multi-modal model translates into the style of a seed, which may follow.
"""

import json
import sys

import numpy as np
import onnxruntime
from PIL import Image


def translate(session, picture, seed):
    """Translate a picture (H, W, 3), uint8, RGB; the result is one, too."""
    about = json.loads(session.get_modelmeta().custom_metadata_map['sesim_mmagic.json'])
    mean, std = (np.float32(about[key])[:, None, None] for key in ('pixel_mean', 'pixel_std'))
    step = -1 if about['inputs'][0]['channel_order'] == 'BGR' else 1
    image = (picture[..., ::step].transpose(2, 0, 1).astype(np.float32) - mean) / std
    given = {'image': image[None]}
    for style in about['inputs'][1:]:  # of a multi-modal model, from N(0, 1)
        given['style'] = np.random.default_rng(seed).standard_normal(style['shape'], np.float32)
    (output,) = session.run(None, given)
    pixels = np.clip(output[0] * std + mean, 0, 255).round().astype(np.uint8)
    return pixels.transpose(1, 2, 0)[..., ::step]


def main(model, source, out, seed=0):
    """Translate one file."""
    session = onnxruntime.InferenceSession(model, providers=['CPUExecutionProvider'])
    picture = np.asarray(Image.open(source).convert('RGB'))
    Image.fromarray(translate(session, picture, int(seed))).save(out)


if __name__ == '__main__':
    main(*sys.argv[1:])
