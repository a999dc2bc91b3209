#!/usr/bin/env python3
"""Compares a generator.safetensors of texloom with PyTorch: names, shapes and pictures.

    check_generator.py generator.safetensors [exemplar.png expanded.png]

Loads the file into model.Generator; every name must be present and none unknown. Given a picture and the output of
`texloom expand`, it expands the picture too and compares them: no value may differ by more than one grey level.
"""
import re
import sys

import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch.nn import functional as F

import model


def load(path):
    weights = load_file(path)
    with safe_open(path, "pt") as file:
        recipe = (file.metadata() or {}).get("recipe", "")

    def field(name, default):
        found = re.search(rf"^{name}: *(\S+)", recipe, re.MULTILINE)
        return found.group(1) if found else default

    if field("norm", "batch") != "batch" or field("upsample", "transposed") != "transposed":
        sys.exit(f"{path}: only batch norm and transposed convolutions are compared")
    blocks = len({name.split(".")[1] for name in weights if name.startswith("blocks.")})
    padding = {"zero": "zeros"}.get(field("padding", "reflect"), field("padding", "reflect"))
    generator = model.Generator(weights["head.weight"].shape[0], blocks, dropout=0, padding=padding)
    # PyTorch counts batches in a buffer that has no use once training is over.
    counters = {name: value for name, value in generator.state_dict().items() if name.endswith("num_batches_tracked")}
    generator.load_state_dict(weights | counters, strict=True)
    return generator, len(weights)


def main():
    if len(sys.argv) not in (2, 4):
        sys.exit(__doc__)
    generator, count = load(sys.argv[1])
    print(f"{sys.argv[1]}: {count} tensors, all known, none missing")
    if len(sys.argv) == 2:
        return
    import numpy
    from PIL import Image
    source, expanded = (numpy.asarray(Image.open(path).convert("RGB")) for path in sys.argv[2:])
    image = torch.from_numpy(source.copy()).permute(2, 0, 1).float() / 127.5 - 1
    height, width = image.shape[1:]
    padded = F.pad(image[None], (0, -width % 4, 0, -height % 4), mode="reflect")[0]
    result = model.expand(generator, padded, "image")[:, :2 * height, :2 * width]
    levels = ((result + 1) * 127.5).round().clamp(0, 255).permute(1, 2, 0).numpy()
    if levels.shape != expanded.shape:
        sys.exit(f"{sys.argv[3]} is {expanded.shape[1]}x{expanded.shape[0]}, expected {levels.shape[1]}x{levels.shape[0]}")
    difference = abs(levels - expanded)
    print(f"{sys.argv[3]}: largest difference {int(difference.max())} grey levels")
    if difference.max() > 1:
        sys.exit("the pictures differ by more than one grey level")


if __name__ == "__main__":
    main()
