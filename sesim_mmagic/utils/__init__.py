"""The ground floor: files, images and checkpoints; it knows nothing of OpenMMLab."""
