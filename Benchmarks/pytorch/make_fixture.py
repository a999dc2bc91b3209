#!/usr/bin/env python3
r"""Writes a parity fixture: training steps in float64, with everything that another implementation needs to repeat them.

    make_fixture.py Tests/TextureGANTests/Fixtures/steps_k24.safetensors
    make_fixture.py Tests/TextureGANTests/Fixtures/steps_none.safetensors SMALL --upsample nearest --ema 0.05 \
        --norm none --second-discriminator none --second-gain 10 --adversarial relativistic
    make_fixture.py Tests/TextureGANTests/Fixtures/steps_spectral.safetensors SMALL \
        --norm none --discriminator-norm spectral --adversarial hinge --last-bias 0.75
    make_fixture.py /tmp/steps_k64.safetensors --k 64 --ngf 8 --ndf 8 --height 150 --width 140
    make_fixture.py OUT --like OTHER            the same run as OTHER's, with its exemplar, crops and weights

SMALL is --steps 1 --k 12 --ngf 2 --ndf 2 --blocks 1 --d-layers 2 --height 28 --width 26 --vgg-width 3 --vgg-least 3
--vgg-most 4. OTHER is a fixture of the published method, made without --norm and the options after it.

The script computes in double precision. The file contains the values rounded to float32, in PyTorch's layouts unless
noted. The first and the last step can be repeated on their own, so rounding errors do not grow from step to step. Names:

  The start of the run
    exemplar                 uint8 [H, W, 3]: the source image, RGB
    vgg.LAYER.{weight,bias}  conv1_1 ... conv5_1 of a VGG19 with few channels
    init.NETWORK.NAME        every parameter and running average; NETWORK is generator or discriminator. A second
                             discriminator's names begin with "second.". Spectral norm's singular vectors follow their
                             weight as weight_u and, laid out like a filter, weight_v
  The random choices
    crops                    int32 [steps, 4]: row and column of the target in the exemplar, of the source in the target
  The first step
    grad.NETWORK.NAME        gradients: of the mean of its two losses for the discriminator, of adversarial + 100 L1 +
                             style for the generator
    tie.NETWORK.NAME         [1]: how much ties may change that gradient, see below
  The last step
    last.before.NETWORK.NAME as init, before the step (the run itself continues from these rounded values)
    last.mean.NETWORK.NAME   Adam's moments before the step
    last.square.NETWORK.NAME
    last.grad.NETWORK.NAME, last.tie.NETWORK.NAME
    final.NETWORK.NAME       as init, after the step
    {last.before,final}.average.NAME  with --ema, the averaged generator, which starts as a copy of the generator
  All steps
    losses                   [steps, 6]: discriminator on the fake, on the target; adversarial, L1, style; zero
  The end
    expanded.batch           [3, 2h, 2w]: the exemplar, cropped to multiples of 4, through the final generator with
                             batch norm on the image's own statistics
    expanded.running         the same on the running averages; absent without norms, because it would be equal

Ties. The derivative of a (leaky) ReLU jumps at 0, that of a maximum where two inputs are equal, that of |x| at 0. If an
argument lies within rounding of its jump (TIE times the root mean square of its layer), single precision may take
either side, and both are right. The script turns each such place to its other side separately, which changes the
gradient by some vector. `tie` is the sum of these vectors' lengths. A gradient may differ by at most this much.

The metadata's "config" contains the options as JSON. A replay needs k, ngf, ndf, blocks, d_layers, steps, and, if
present, norm, discriminator_norm, second_discriminator, upsample, adversarial and ema, and "arithmetic": "float64".
Every fixture has no dropout, reflection padding, learning rate 2e-4, RGB in [-1, 1] into VGG, and taps relu1_1 ...
relu5_1.
"""
import argparse
import copy
import json
import os

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch.nn import functional as F

import kinks
import model


def options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out")
    parser.add_argument("--like", metavar="OTHER")
    for name, default in {
            "k": 24, "ngf": 4, "ndf": 3, "blocks": 2, "d-layers": 3, "steps": 4, "height": 54, "width": 50, "seed": 11,
            "vgg-width": 4, "vgg-least": 4, "vgg-most": 8}.items():
        parser.add_argument("--" + name, type=int, default=default)
    parser.add_argument("--norm", choices=["batch", "none"], default="batch")
    parser.add_argument("--discriminator-norm", choices=["batch", "none", "spectral"], default="batch")
    parser.add_argument("--second-discriminator", choices=["off", "none"], default="off",
                        help="the norm of a second discriminator")
    parser.add_argument("--upsample", choices=["transposed", "nearest"], default="transposed")
    parser.add_argument("--adversarial", choices=["bce", "hinge", "relativistic"], default="bce")
    parser.add_argument("--ema", type=float, default=0.0)
    parser.add_argument("--last-bias", type=float, default=0.0,
                        help="added to the discriminator's last bias, so that logits exceed hinge's margins")
    parser.add_argument("--second-gain", type=float, default=1.0,
                        help="multiplies the second discriminator's weights, so that a thin one has an effect")
    args = parser.parse_args()
    if args.like:
        with safe_open(args.like, "pt") as other:
            config = json.loads(other.metadata()["config"])
            for name in ("k", "ngf", "ndf", "blocks", "d_layers", "steps"):
                setattr(args, name, config[name])
    return args


def draw_exemplar(height, width):
    """Stripes that widen to the right under noise: non-stationary, with all frequencies."""
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    bend = x / (4 + x / 20) + torch.sin(y / 7.0)
    colours = torch.stack([torch.sin(bend * (1 + channel / 5) + channel) for channel in range(3)], -1)
    noisy = 128 + 90 * colours + 20 * torch.randn(height, width, 3)
    return noisy.clamp(0, 255).to(torch.uint8)


def texloom_name(name):
    """texloom's name of a parameter: spectral norm's state is beside its weight."""
    return name.replace(".parametrizations.weight.original", ".weight").replace(
        ".parametrizations.weight.0.", ".weight")


def state(prefix, network):
    values = network.state_dict()
    result = {}
    for name, value in values.items():
        if name.endswith("num_batches_tracked"):
            continue
        if name.endswith("._v"):
            value = value.reshape(1, *values[name.replace(".0._v", ".original")].shape[1:])
        result[f"{prefix}.{texloom_name(name)}"] = value.clone()
    return result


def gradients(network, loss, calls):
    """The gradients of a loss by parameter, by how much ties may change each, and how many ties there are.

    `calls` are the kinks that the loss passed.
    """
    names, parameters = zip(*network.named_parameters())
    found = torch.autograd.grad(loss, parameters, retain_graph=True)
    bounds = torch.zeros(len(names), dtype=torch.float64)
    count = 0
    for kink in calls:
        for tie in kink.ties:
            with kinks.turned(kink, tie):
                other = torch.autograd.grad(loss, parameters, retain_graph=True)
            bounds += torch.stack([(a - b).norm() for a, b in zip(found, other)])
            count += 1
    return dict(zip(names, found)), {name: bound[None] for name, bound in zip(names, bounds)}, count


def round_values(network):
    for value in network.state_dict().values():
        value.copy_(value.float())


def rounded(network, optimiser):
    """Rounds a network's values and moments to single precision, as the file will hold them."""
    round_values(network)
    for moments in optimiser.state.values():
        for name in ("exp_avg", "exp_avg_sq"):
            moments[name].copy_(moments[name].float())


def initial(args):
    """Exemplar, networks and crops: drawn, or another fixture's."""
    if args.like:
        with safe_open(args.like, "pt") as other:
            tensors = {name: other.get_tensor(name) for name in other.keys()}
        exemplar, crops = tensors["exemplar"], tensors["crops"].tolist()
        args.height, args.width = exemplar.shape[:2]
        widths = [tensors[f"vgg.conv{block}_1.weight"].shape[0] for block in range(1, 6)]
        vgg = model.StyleFeatures(widths[0], min(widths), max(widths))
    else:
        exemplar = draw_exemplar(args.height, args.width)
        vgg = model.StyleFeatures(args.vgg_width, args.vgg_least, args.vgg_most)
    generator = model.Generator(args.ngf, args.blocks, dropout=0, kind=args.norm, upsample=args.upsample)
    discriminator = model.Discriminator(args.ndf, args.d_layers, args.discriminator_norm)
    if args.second_discriminator != "off":
        # As a part of the first: one network of the file, one of the optimiser's.
        discriminator.second = model.Discriminator(args.ndf, args.d_layers, args.second_discriminator)
    if args.like:
        for prefix, network in ("init.generator.", generator), ("init.discriminator.", discriminator), ("vgg.", vgg):
            network.load_state_dict({name[len(prefix):]: value for name, value in tensors.items()
                                     if name.startswith(prefix)}, strict=False)
        return exemplar, generator, discriminator, vgg, crops
    model.initialise(generator, he=args.norm == "none")
    model.initialise(discriminator, he=args.discriminator_norm != "batch")
    with torch.no_grad():
        for network, kind in (generator, args.norm), (discriminator, args.discriminator_norm):
            if kind != "batch":
                # Where a kernel sees zeros alone, a bias of 0 would be a tie.
                for name, parameter in network.named_parameters():
                    if name.endswith("bias") and not name.startswith("second."):
                        parameter.normal_(0, 0.1)
        discriminator.last.bias.add_(args.last_bias)
        if hasattr(discriminator, "second"):
            model.initialise(discriminator.second)
            for parameter in discriminator.second.parameters():
                parameter.mul_(args.second_gain)
    for parameter in vgg.parameters():
        # He's deviation keeps the deep taps as loud as the first, so that an error in any of them shows.
        fan = parameter[0].numel()
        parameter.data.normal_(0, (2 / fan) ** 0.5 if parameter.dim() == 4 else 0.05)
    spare = (args.height - 2 * args.k, args.width - 2 * args.k, args.k, args.k)
    crops = [[int(torch.randint(limit + 1, ())) for limit in spare] for _ in range(args.steps)]
    return exemplar, generator, discriminator, vgg, crops


def judge(discriminator, fake, real):
    """Logits of the two. Batch norm knows one image alone; spectral norm moves with each call, so both are one call."""
    if any(isinstance(module, torch.nn.BatchNorm2d) for module in discriminator.modules()):
        return discriminator(fake), discriminator(real)
    return discriminator(torch.cat([fake, real])).split(1)


def discriminator_losses(kind, fake, real):
    """Of a discriminator's logits: reported of the fake, of the target; what it is trained by."""
    if kind == "relativistic":
        loss = F.softplus(fake - real).mean()
        return loss / 2, loss / 2, loss
    against = model.hinge if kind == "hinge" else model.against
    on_fake, on_real = against(fake, 0.0), against(real, 1.0)
    return on_fake, on_real, (on_fake + on_real) / 2


def generator_loss(kind, discriminator, fake, target):
    """The adversarial loss by one discriminator."""
    if kind == "relativistic":
        real = discriminator(target)
        return F.softplus(real - discriminator(fake)).mean()
    logits = discriminator(fake)
    return -logits.mean() if kind == "hinge" else model.against(logits, 1.0)


def mean(values):
    return sum(values) / len(values)


def main():
    args = options()
    torch.manual_seed(args.seed)
    # One thread and fixed algorithms: the same file from the same version of PyTorch.
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    exemplar, generator, discriminator, vgg, crops = initial(args)
    image = (exemplar.float() / 127.5 - 1).permute(2, 0, 1).double()
    networks = {"generator": generator.double(), "discriminator": discriminator.double()}
    judges = [discriminator] + ([discriminator.second] if hasattr(discriminator, "second") else [])
    average = copy.deepcopy(generator)
    vgg.double()
    functional = model.F = kinks.Functional()

    tensors = {"exemplar": exemplar, **state("vgg", vgg)}
    for name, network in networks.items():
        tensors |= state(f"init.{name}", network)
    optimisers = {name: model.adam(network) for name, network in networks.items()}
    losses, ties = [], []
    for step, (top, left, inner_top, inner_left) in enumerate(crops):
        target = image[None, :, top:top + 2 * args.k, left:left + 2 * args.k]
        source = target[:, :, inner_top:inner_top + args.k, inner_left:inner_left + args.k]
        is_last = step > 0 and step == len(crops) - 1
        prefix = "last." if is_last else ""
        if is_last:
            for name, network in networks.items():
                rounded(network, optimisers[name])
                tensors |= state(f"last.before.{name}", network)
                for parameter, value in network.named_parameters():
                    adam, parameter = optimisers[name].state[value], texloom_name(parameter)
                    tensors[f"last.mean.{name}.{parameter}"] = adam["exp_avg"].clone()
                    tensors[f"last.square.{name}.{parameter}"] = adam["exp_avg_sq"].clone()
            if args.ema:
                round_values(average)
                tensors |= state("last.before.average", average)

        def update(name, loss, calls):
            is_kept = is_last or step == 0
            found, bounds, count = gradients(networks[name], loss, calls if is_kept else [])
            for parameter, value in networks[name].named_parameters():
                value.grad = found[parameter]
            if is_kept:
                ties.append(count)
                for parameter in found:
                    tensors[f"{prefix}grad.{name}.{texloom_name(parameter)}"] = found[parameter]
                    tensors[f"{prefix}tie.{name}.{texloom_name(parameter)}"] = bounds[parameter]
            optimisers[name].step()

        functional.kinks = []
        fake = generator(source)
        generated, functional.kinks = functional.kinks, []
        on_fake, on_real, trained_by = zip(*(
            discriminator_losses(args.adversarial, *judge(one, fake.detach(), target)) for one in judges))
        # A loss for each discriminator: neither learns less for the other's sake.
        update("discriminator", sum(trained_by), functional.kinks)

        functional.kinks = []
        # Of spectral norm, the vectors of the update with the weights behind it.
        discriminator.train(args.discriminator_norm != "spectral")
        adversarial = mean([generator_loss(args.adversarial, one, fake, target) for one in judges])
        discriminator.train()
        l1 = functional.absolute(fake - target).mean()
        style = model.style_loss(vgg(fake), vgg(target))
        update("generator", adversarial + 100 * l1 + style, generated + functional.kinks)
        with torch.no_grad():
            memory = min(args.ema, (step + 1) / (step + 11))
            for kept, value in zip(average.parameters(), generator.parameters()):
                kept.lerp_(value, 1 - memory)
            for kept, value in zip(average.buffers(), generator.buffers()):
                kept.copy_(value)
        losses.append([loss.item() for loss in (mean(on_fake), mean(on_real), adversarial, l1, style)] + [0.0])

    for name, network in networks.items():
        tensors |= state(f"final.{name}", network)
        # What comes of the rounded values that the file holds.
        rounded(network, optimisers[name])
    if args.ema:
        tensors |= state("final.average", average)
    tensors["crops"] = torch.tensor(crops, dtype=torch.int32)
    tensors["losses"] = torch.tensor(losses)
    whole = image[:, :args.height // 4 * 4, :args.width // 4 * 4]
    tensors["expanded.batch"] = model.expand(generator, whole, "image")
    if args.norm == "batch":
        tensors["expanded.running"] = model.expand(generator, whole, "running")
    single = {name: (value.float() if value.is_floating_point() else value).contiguous()
              for name, value in tensors.items()}
    config = {name: value for name, value in vars(args).items() if name not in ("out", "like")}
    config |= {"torch": torch.__version__, "arithmetic": "float64", "ties": ties}
    save_file(single, args.out, metadata={"config": json.dumps(config)})
    shares = sorted(((float(tensors[name]) / max(float(tensors[name.replace("tie.", "grad.")].norm()), 1e-30), name)
                     for name in tensors if name.startswith(("tie.", "last.tie."))), reverse=True)
    print(f"{args.out}: {os.path.getsize(args.out)} bytes; ties (D and G of the first step, of the last): {ties}, which may"
          f" change a gradient by at most {shares[0][0]:.2g} ({shares[0][1]}), the median one by"
          f" {shares[len(shares) // 2][0]:.2g}; losses by step:")
    for row in losses:
        print("  " + " ".join(f"{loss:.6f}" for loss in row[:5]))


if __name__ == "__main__":
    main()
