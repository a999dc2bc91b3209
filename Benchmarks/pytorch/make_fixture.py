#!/usr/bin/env python3
"""Writes a parity fixture: some whole training steps with all that another implementation needs to repeat them.

    make_fixture.py Tests/TextureGANTests/Fixtures/steps_k24.safetensors
    make_fixture.py Tests/TextureGANTests/Fixtures/steps_spectral.safetensors --norm none --discriminator-norm spectral \
        --upsample nearest --ema 0.12 --double --k 16 --ngf 2 --ndf 4 --d-layers 2
    make_fixture.py Tests/TextureGANTests/Fixtures/steps_none.safetensors --norm none --discriminator-norm none \
        --adversarial hinge --last-gain 20 --double --k 16 --ngf 2 --ndf 4 --d-layers 2

The file is safetensors; tensors are float32 in PyTorch's layouts but where noted. What it holds, by name:

  What the run began with
    exemplar                 uint8 [H, W, 3]: the source image, RGB
    vgg.LAYER.{weight,bias}  conv1_1 ... conv5_1 of a VGG19 with few channels
    init.NETWORK.NAME        every parameter and running average; NETWORK is generator or discriminator
  What it drew
    crops                    int32 [steps, 4]: row and column of the target in the exemplar, of the source in the target
  A discriminator with spectral norm has its singular vectors beside each weight, as weight_u and, laid out like a
  filter, weight_v; they move once for each of its updates.
  What came of it
    grad.NETWORK.NAME        the gradients of the first step: for the discriminator of the mean of its two losses, for
                             the generator of adversarial + 100 L1 + style
    losses                   [steps, 6]: discriminator on the fake, on the target; adversarial, L1, style; zero
    final.NETWORK.NAME       as init, after the last step
    average.generator.NAME   with --ema, the averaged generator after the last step
    expanded.batch           [3, 2h, 2w]: the exemplar, cropped to multiples of 4, through the final generator with
                             batch norm on the image's own statistics
    expanded.running         the same on the running averages

The metadata's "config" is the options as JSON; a replay needs k, ngf, ndf, blocks, d_layers and steps of it, and norm,
discriminator_norm, upsample, adversarial and ema where they are there. With --double all is computed in double
precision, so that what differs is the replay's rounding alone.
Always: no dropout, reflection padding, rate 2e-4, RGB in [-1, 1] into VGG, relu1_1 ... relu5_1 tapped.
"""
import argparse
import copy
import json
import os

import torch
from safetensors.torch import save_file

import model


def options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out")
    for name, default in {
            "k": 24, "ngf": 4, "ndf": 3, "blocks": 2, "d-layers": 3, "steps": 4, "height": 54, "width": 50, "seed": 11,
            "vgg-width": 4, "vgg-least": 4, "vgg-most": 8}.items():
        parser.add_argument("--" + name, type=int, default=default)
    parser.add_argument("--norm", choices=["batch", "none"], default="batch")
    parser.add_argument("--discriminator-norm", choices=["batch", "none", "spectral"], default="batch")
    parser.add_argument("--upsample", choices=["transposed", "nearest"], default="transposed")
    parser.add_argument("--adversarial", choices=["bce", "hinge"], default="bce")
    parser.add_argument("--ema", type=float, default=0.0)
    parser.add_argument("--last-gain", type=float, default=1.0,
                        help="multiplies the discriminator's last weight, so that logits reach past hinge's margins")
    parser.add_argument("--double", action="store_true")
    return parser.parse_args()


def draw_exemplar(height, width):
    """Stripes that widen to the right under noise: non-stationary, with all frequencies."""
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    bend = x / (4 + x / 20) + torch.sin(y / 7.0)
    colours = torch.stack([torch.sin(bend * (1 + channel / 5) + channel) for channel in range(3)], -1)
    noisy = 128 + 90 * colours + 20 * torch.randn(height, width, 3)
    return noisy.clamp(0, 255).to(torch.uint8)


def named(values):
    """By texloom's names; spectral norm's vectors in texloom's shapes."""
    values = dict(values)
    for name, value in values.items():
        place = name.replace(".parametrizations.weight.original", ".weight").replace(".parametrizations.weight.0.", ".weight")
        if name.endswith("._v"):
            weight = values[name.replace(".0._v", ".original")]
            value = value.reshape(1, *weight.shape[1:])
        if not name.endswith("num_batches_tracked"):
            yield place, value


def state(prefix, network):
    return {f"{prefix}.{name}": value.clone() for name, value in named(network.state_dict())}


def gradients(prefix, network):
    return {f"{prefix}.{name}": value.grad.clone() for name, value in named(network.named_parameters())}


def judge(discriminator, fake, real):
    """Norms know one image alone, and spectral norm moves with each call: one at a time, or both at once."""
    if any(isinstance(module, torch.nn.BatchNorm2d) for module in discriminator.modules()):
        return discriminator(fake), discriminator(real)
    return discriminator(torch.cat([fake, real])).split(1)


def main():
    args = options()
    torch.manual_seed(args.seed)
    # One thread and fixed algorithms: the same file from the same version of PyTorch.
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    exemplar = draw_exemplar(args.height, args.width)
    if args.double:
        torch.set_default_dtype(torch.float64)
    image = (exemplar.to(torch.get_default_dtype()) / 127.5 - 1).permute(2, 0, 1).contiguous()
    generator = model.Generator(args.ngf, args.blocks, dropout=0, kind=args.norm, upsample=args.upsample)
    discriminator = model.Discriminator(args.ndf, args.d_layers, args.discriminator_norm)
    vgg = model.StyleFeatures(args.vgg_width, args.vgg_least, args.vgg_most)
    model.initialise(generator, he=args.norm == "none")
    model.initialise(discriminator, he=args.discriminator_norm != "batch")
    with torch.no_grad():
        model.weight_of(discriminator.last).mul_(args.last_gain)
    for parameter in vgg.parameters():
        # He's deviation keeps the deep taps as loud as the first, so that an error in any of them shows.
        fan = parameter[0].numel()
        parameter.data.normal_(0, (2 / fan) ** 0.5 if parameter.dim() == 4 else 0.05)

    # What the file says, to the last bit.
    for network in [generator, discriminator, vgg]:
        for value in [*network.parameters(), *network.buffers()]:
            value.data = value.data.float().to(value.dtype)
    average = copy.deepcopy(generator)

    tensors = {"exemplar": exemplar, **state("vgg", vgg)}
    tensors |= state("init.generator", generator) | state("init.discriminator", discriminator)
    train_generator, train_discriminator = model.adam(generator), model.adam(discriminator)
    crops, losses = [], []
    for step in range(args.steps):
        spare = (args.height - 2 * args.k, args.width - 2 * args.k, args.k, args.k)
        top, left, inner_top, inner_left = crop = [int(torch.randint(limit + 1, ())) for limit in spare]
        target = image[None, :, top:top + 2 * args.k, left:left + 2 * args.k]
        source = target[:, :, inner_top:inner_top + args.k, inner_left:inner_left + args.k]
        fake = generator(source)

        train_discriminator.zero_grad()
        against = model.hinge if args.adversarial == "hinge" else model.against
        fake_logits, real_logits = judge(discriminator, fake.detach(), target)
        on_fake, on_real = against(fake_logits, 0.0), against(real_logits, 1.0)
        ((on_fake + on_real) / 2).backward()
        if step == 0:
            tensors |= gradients("grad.discriminator", discriminator)
        train_discriminator.step()

        train_generator.zero_grad()
        # Of spectral norm, the vectors of the update with the weights behind it.
        discriminator.train(args.discriminator_norm != "spectral")
        logits = discriminator(fake)
        discriminator.train()
        adversarial = -logits.mean() if args.adversarial == "hinge" else model.against(logits, 1.0)
        l1 = (fake - target).abs().mean()
        style = model.style_loss(vgg(fake), vgg(target))
        (adversarial + 100 * l1 + style).backward()
        if step == 0:
            tensors |= gradients("grad.generator", generator)
        train_generator.step()
        with torch.no_grad():
            memory = min(args.ema, (step + 1) / (step + 11))
            for mean, value in zip(average.parameters(), generator.parameters()):
                mean.lerp_(value, 1 - memory)
        crops.append(crop)
        losses.append([loss.item() for loss in (on_fake, on_real, adversarial, l1, style)] + [0.0])

    tensors |= state("final.generator", generator) | state("final.discriminator", discriminator)
    if args.ema:
        tensors |= state("average.generator", average)
    tensors["crops"] = torch.tensor(crops, dtype=torch.int32)
    tensors["losses"] = torch.tensor(losses)
    whole = image[:, :args.height // 4 * 4, :args.width // 4 * 4]
    tensors["expanded.batch"] = model.expand(generator, whole, "image")
    tensors["expanded.running"] = model.expand(generator, whole, "running")
    config = {name: value for name, value in vars(args).items() if name != "out"} | {"torch": torch.__version__}
    save_file({name: (value.float() if value.is_floating_point() else value).contiguous() for name, value in tensors.items()},
              args.out,
              metadata={"config": json.dumps(config)})
    print(f"{args.out}: {os.path.getsize(args.out)} bytes; losses by step:")
    for row in losses:
        print("  " + " ".join(f"{loss:.6f}" for loss in row[:5]))


if __name__ == "__main__":
    main()
