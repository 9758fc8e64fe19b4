"""Translate from Python: python translate_pictures.py MODEL FOLDER OUT."""

import sys

import cv2

from sesim_mmagic.apis import SeSimInferencer


def main(model, folder, out):
    """Translate a folder into files, and one picture into an array."""
    inferencer = SeSimInferencer(model)  # a name, a file or a URL
    predictions = inferencer(folder, out_dir=out)['predictions']
    for found in predictions:
        print(found['source'], found['status'], *found['outputs'], found['reason'] or '')

    picture = cv2.imread(predictions[0]['source'])  # (H, W, 3), uint8, BGR
    translation = inferencer(picture)['visualization'][0]  # the same
    print(translation.shape)


if __name__ == '__main__':
    main(*sys.argv[1:])
