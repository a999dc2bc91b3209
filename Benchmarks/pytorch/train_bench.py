#!/usr/bin/env python3
"""Times whole training steps in PyTorch by phase, and prints JSON. The peer of `texloom bench step`.

The step is lean and computes only what an update needs: one forward pass of G for both updates, no gradients for the
weights of frozen networks or for the target's features, VGG only up to its last tap. Data and weights are random, because
the time does not depend on them.

    train_bench.py --k 64 --ngf 32 --ndf 32 --threads 2 --iterations 10
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
    for name, default in {"k": 128, "ngf": 64, "ndf": 64, "blocks": 6, "d-layers": 4, "threads": 1,
                          "warm-up": 2, "iterations": 5, "seed": 1}.items():
        parser.add_argument("--" + name, type=int, default=default)
    parser.add_argument("--dropout", type=float, default=0.5)
    parser.add_argument("--no-style", action="store_true", help="leave the style loss out")
    parser.add_argument("--channels-last", action="store_true", help="NHWC tensors and weights")
    return parser.parse_args()


class Stopwatch:
    def __init__(self):
        self.seconds = {}
        self.last = time.perf_counter()

    def mark(self, phase):
        now = time.perf_counter()
        self.seconds[phase] = self.seconds.get(phase, 0) + now - self.last
        self.last = now


class Step:
    """One update of D, then one of G against the updated D. Phases have the names of texloom's."""

    def __init__(self, args):
        self.generator = model.Generator(args.ngf, args.blocks, args.dropout)
        self.discriminator = model.Discriminator(args.ndf, args.d_layers)
        self.vgg = None if args.no_style else model.StyleFeatures()
        networks = [network for network in (self.generator, self.discriminator, self.vgg) if network]
        for network in networks[:2]:
            model.initialise(network)
        if args.channels_last:
            for network in networks:
                network.to(memory_format=torch.channels_last)
        self.train_generator = model.adam(self.generator)
        self.train_discriminator = model.adam(self.discriminator)

    def run(self, source, target, watch):
        fake = self.generator(source)
        watch.mark("g_forward")

        self.train_discriminator.zero_grad(set_to_none=True)
        losses = {}
        for name, image, label in (("discriminator_fake", fake.detach(), 0.0), ("discriminator_real", target, 1.0)):
            loss = model.against(self.discriminator(image), label)
            watch.mark("d_forward")
            (loss / 2).backward()
            watch.mark("d_backward")
            losses[name] = loss.item()
        self.train_discriminator.step()
        watch.mark("d_adam")

        # Each loss is differentiated as far as the fake image; their sum then goes through G once.
        leaf = fake.detach().requires_grad_()
        l1 = (leaf - target).abs().mean()
        (100 * l1).backward()
        losses["l1"] = l1.item()
        if self.vgg:
            with torch.no_grad():
                targets = self.vgg(target)
            watch.mark("vgg_target")
            style = model.style_loss(self.vgg(leaf), targets)
            watch.mark("vgg_forward")
            style.backward()
            watch.mark("vgg_backward")
            losses["style"] = style.item()
        self.discriminator.requires_grad_(False)
        adversarial = model.against(self.discriminator(leaf), 1.0)
        watch.mark("gan_forward")
        adversarial.backward()
        self.discriminator.requires_grad_(True)
        watch.mark("gan_backward")
        losses["adversarial"] = adversarial.item()

        self.train_generator.zero_grad(set_to_none=True)
        fake.backward(leaf.grad)
        watch.mark("g_backward")
        self.train_generator.step()
        watch.mark("g_adam")
        return losses


def main():
    args = options()
    torch.manual_seed(args.seed)
    torch.set_num_threads(args.threads)
    step = Step(args)
    target = 2 * torch.rand(1, 3, 2 * args.k, 2 * args.k) - 1
    source = target[:, :, args.k // 2:args.k // 2 + args.k, args.k // 2:args.k // 2 + args.k]
    if args.channels_last:
        target, source = (image.contiguous(memory_format=torch.channels_last) for image in (target, source))
    totals, phases = [], []
    for iteration in range(args.warm_up + args.iterations):
        watch = Stopwatch()
        began = time.perf_counter()
        losses = step.run(source, target, watch)
        if iteration >= args.warm_up:
            totals.append(time.perf_counter() - began)
            phases.append(watch.seconds)
    print(json.dumps({
        "software": f"PyTorch {torch.__version__}",
        "options": vars(args),
        "secondsPerIteration": statistics.median(totals),
        "fastestSeconds": min(totals),
        "phases": {name: statistics.median(row[name] for row in phases) for name in phases[0]},
        "peakRSSMiB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "losses": losses,
    }, indent=2))


if __name__ == "__main__":
    main()
