"""Self-similarity maps the slow, obvious way: one query after the other, one window at a time."""

import torch


def looped_self_similarity(features, positions, patch_size, normalize=True):
    images, channels, height, width = features.shape
    features = features - features.mean(dim=(2, 3), keepdim=True)
    if normalize:
        norms = features.pow(2).sum(dim=1, keepdim=True).sqrt()
        features = features / norms.clamp_min(1e-12)
    else:
        features = features / channels**0.5
    maps = []
    for image in range(images):
        rows = []
        for position in positions.tolist():
            row, column = divmod(position, width)
            window = features[image]
            if patch_size < height and patch_size < width:
                top = min(max(row - patch_size // 2, 0), height - patch_size)
                left = min(max(column - patch_size // 2, 0), width - patch_size)
                window = window[:, top : top + patch_size, left : left + patch_size]
            query = features[image, :, row, column]
            rows.append((query[:, None, None] * window).sum(dim=0).flatten())
        maps.append(torch.stack(rows))
    maps = torch.stack(maps)
    return maps if normalize else torch.tanh(maps / 10)


def looped_spatial_distance(
    source_map, target_map, distance='cos', normalized=True, reduction='mean'
):
    images, queries, keys = source_map.shape
    kept = keys // 4
    values = []
    for image in range(images):
        for query in range(queries):
            source, target = source_map[image, query], target_map[image, query]
            threshold = sorted(target.tolist(), reverse=True)[kept]
            selected = [k for k in range(keys) if target[k] >= threshold]
            source, target = source[selected], target[selected]
            if distance == 'cos':
                norms = source.norm().clamp_min(1e-8) * target.norm().clamp_min(1e-8)
                difference = (1 - (source * target).sum() / norms).abs()[None]
            else:
                difference = (source - target).abs() * keys / kept
            if not normalized:
                difference = torch.where(difference < 1, difference**2 / 2, difference - 0.5)
            values.append(difference.sum() if distance == 'cos' else difference.sum() / keys)
    values = torch.stack(values)
    return values.mean() if reduction == 'mean' else values.view(images, queries)
