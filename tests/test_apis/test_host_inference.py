"""MMagic's own ways to use a model, with a config and a checkpoint of this package."""

import cv2
import numpy as np

from sesim_mmagic.apis import SeSimInferencer
from tests.test_apis.inference import build, config, picture, save


def test_init_model_and_inferencer(tmp_path, no_default_scope):
    settings = config(ema=dict(momentum=0.5))
    model = build(settings)
    checkpoint = save(tmp_path / 'model.pth', model, settings)
    pipeline = [dict(type='sesim_mmagic.LoadPicture', key=f'img_{key}') for key in 'AB']
    pipeline.append(dict(type='sesim_mmagic.PackDomains', A='a', B='b'))
    text = f"default_scope = 'mmagic'\nmodel = {settings!r}\ntest_pipeline = {pipeline!r}\n"
    (tmp_path / 'config.py').write_text(text)
    cv2.imwrite(str(tmp_path / 'in.png'), picture())
    (wanted,) = SeSimInferencer(checkpoint, device='cpu')(tmp_path / 'in.png')['visualization']

    from mmagic.apis import MMagicInferencer, init_model  # the slowest import of all

    found = init_model(str(tmp_path / 'config.py'), str(checkpoint), device='cpu')
    assert np.array_equal(SeSimInferencer(found)(picture())['visualization'][0], wanted)
    host = MMagicInferencer(
        'pix2pix',  # names the task
        model_config=str(tmp_path / 'config.py'),
        model_ckpt=str(checkpoint),
        device='cpu',
    )
    host.infer(img=str(tmp_path / 'in.png'), result_out_dir=str(tmp_path / 'out.png'))
    written = cv2.imread(str(tmp_path / 'out.png')).astype(int)
    assert np.abs(written - wanted).max() <= 1
