#!/usr/bin/env python3
"""Doubles an image by image quilting along its own layout: the alternative to training that a user might try.

    quilt.py EXEMPLAR OUT.png [--block 36] [--overlap 12] [--layout 0.5] [--seed 1]

Lays blocks of the exemplar beside one another along minimal seams. Chooses each block among those that match the blocks
already laid and, weighted by --layout, the blurred exemplar at twice its size (as in the paper's texture transfer). This
keeps large structure as well as quilting can.
Source: Efros & Freeman, "Image Quilting for Texture Synthesis and Transfer", SIGGRAPH 2001. Needs numpy and Pillow.
"""
import argparse

import numpy as np
from PIL import Image, ImageFilter


def sums(image, mask, target):
    """For every position: the sum over `mask` of the squared difference to `target`; by FFT."""
    height, width = target.shape[:2]
    size = image.shape[:2]

    def correlate(a, b):
        return np.fft.irfft2(np.fft.rfft2(a) * np.conj(np.fft.rfft2(b, size)), size)[: size[0] - height + 1, : size[1] - width + 1]

    total = np.zeros((size[0] - height + 1, size[1] - width + 1))
    for channel in range(3):
        plane, wanted = image[..., channel], target[..., channel] * mask
        total += correlate(plane**2, mask) - 2 * correlate(plane, wanted) + (wanted**2).sum()
    return np.maximum(total, 0)


def cut(error):
    """A minimal path down `error`: True to its right."""
    cost = error.copy()
    for y in range(1, len(cost)):
        left, right = np.r_[np.inf, cost[y - 1, :-1]], np.r_[cost[y - 1, 1:], np.inf]
        cost[y] += np.minimum(np.minimum(left, right), cost[y - 1])
    mask = np.zeros(error.shape, bool)
    x = int(cost[-1].argmin())
    for y in range(len(cost) - 1, -1, -1):
        mask[y, x:] = True
        if y:
            low = max(0, x - 1)
            x = low + int(cost[y - 1, low : x + 2].argmin())
    return mask


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("exemplar")
    parser.add_argument("out")
    parser.add_argument("--block", type=int, default=36)
    parser.add_argument("--overlap", type=int, default=12)
    parser.add_argument("--layout", type=float, default=0.5)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    random = np.random.default_rng(options.seed)
    picture = Image.open(options.exemplar).convert("RGB")
    source = np.asarray(picture, float)
    blurred = picture.filter(ImageFilter.GaussianBlur(options.block / 3))
    layout = np.asarray(blurred.resize((2 * picture.width, 2 * picture.height), Image.BICUBIC), float)
    own = np.asarray(blurred, float)

    block, overlap = options.block, options.overlap
    step = block - overlap
    rows, columns = (-(-(side - overlap) // step) for side in layout.shape[:2])
    result = np.zeros((rows * step + overlap, columns * step + overlap, 3))
    layout = np.pad(layout, [(0, result.shape[0] - layout.shape[0]), (0, result.shape[1] - layout.shape[1]), (0, 0)], "edge")
    everywhere = np.ones((block, block))
    for row in range(rows):
        for column in range(columns):
            y, x = row * step, column * step
            here = result[y : y + block, x : x + block]
            laid = np.zeros((block, block))
            if row:
                laid[:overlap] = 1
            if column:
                laid[:, :overlap] = 1
            error = options.layout * sums(own, everywhere, layout[y : y + block, x : x + block])
            if laid.any():
                error += sums(source, laid, here)
            best = np.flatnonzero(error <= error.min() * 1.1 + 1e-6)
            at = divmod(int(random.choice(best)), error.shape[1])
            patch = source[at[0] : at[0] + block, at[1] : at[1] + block]
            mask = np.ones((block, block), bool)
            difference = ((patch - here) ** 2).sum(-1)
            if column:
                mask[:, :overlap] &= cut(difference[:, :overlap])
            if row:
                mask[:overlap] &= cut(difference[:overlap].T).T
            here[mask] = patch[mask]
    height, width = 2 * picture.height, 2 * picture.width
    Image.fromarray(result[:height, :width].round().clip(0, 255).astype(np.uint8)).save(options.out)


if __name__ == "__main__":
    main()
