#!/usr/bin/env python3
"""Times a generator in PyTorch, from an image to its double, and prints JSON. The peer of `texloom bench expand`.

    expand_bench.py --size 512 --threads 2 [--statistics image|running] [--channels-last]

With running averages it folds batch norm into the convolutions' weights, like an export.
"""
import argparse
import json
import resource
import statistics
import time

import torch

import model


def options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in {"size": 512, "ngf": 64, "blocks": 6, "threads": 1, "repeats": 3, "seed": 1}.items():
        parser.add_argument("--" + name, type=int, default=default)
    parser.add_argument("--statistics", default="image", choices=["image", "running"])
    parser.add_argument("--channels-last", action="store_true", help="NHWC tensors and weights")
    return parser.parse_args()


def fold(convolution, norm):
    """Puts a norm with fixed statistics into the convolution before it; the norm is then the identity."""
    factor = norm.weight / (norm.running_var + norm.eps).sqrt()
    outputs_first = not isinstance(convolution, torch.nn.ConvTranspose2d)
    convolution.weight.mul_(factor.view((-1, 1, 1, 1) if outputs_first else (1, -1, 1, 1)))
    convolution.bias = torch.nn.Parameter(norm.bias - norm.running_mean * factor)


def fold_all(generator):
    def one(owner, layer, norm):
        fold(getattr(owner, layer), getattr(owner, norm))
        setattr(owner, norm, torch.nn.Identity())

    one(generator, "head", "head_bn")
    one(generator, "widen", "widen_bn")
    for block in generator.blocks:
        one(block, "conv1", "bn1")
        one(block, "conv2", "bn2")
    for layers, norms in ((generator.down, generator.down_bn), (generator.up, generator.up_bn)):
        for index, layer in enumerate(layers):
            fold(layer, norms[index])
            norms[index] = torch.nn.Identity()


@torch.no_grad()
def main():
    args = options()
    torch.manual_seed(args.seed)
    torch.set_num_threads(args.threads)
    generator = model.Generator(args.ngf, args.blocks)
    model.initialise(generator)
    generator.train(args.statistics == "image")
    for module in generator.modules():
        if isinstance(module, torch.nn.Dropout):
            module.eval()
    if args.statistics == "running":
        fold_all(generator)
    image = 2 * torch.rand(1, 3, args.size, args.size) - 1
    if args.channels_last:
        generator.to(memory_format=torch.channels_last)
        image = image.contiguous(memory_format=torch.channels_last)
    seconds = []
    for _ in range(1 + args.repeats):
        began = time.perf_counter()
        generator(image)
        seconds.append(time.perf_counter() - began)
    print(json.dumps({
        "software": f"PyTorch {torch.__version__}",
        "options": vars(args),
        "seconds": statistics.median(seconds[1:]),
        "fastestSeconds": min(seconds[1:]),
        "peakRSSMiB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }, indent=2))


if __name__ == "__main__":
    main()
