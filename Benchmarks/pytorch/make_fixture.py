#!/usr/bin/env python3
"""Writes a parity fixture: training steps with all that another implementation needs to repeat them, in float64.

    make_fixture.py Tests/TextureGANTests/Fixtures/steps_k24.safetensors
    make_fixture.py Tests/TextureGANTests/Fixtures/steps_spectral.safetensors --norm none --discriminator-norm spectral \
        --upsample nearest --ema 0.12 --k 16 --ngf 2 --ndf 4 --d-layers 2
    make_fixture.py Tests/TextureGANTests/Fixtures/steps_none.safetensors --norm none --discriminator-norm none \
        --adversarial hinge --last-gain 20 --k 16 --ngf 2 --ndf 4 --d-layers 2
    make_fixture.py /tmp/steps_k64.safetensors --k 64 --ngf 8 --ndf 8 --height 150 --width 140
    make_fixture.py OUT --like OTHER            the same run as OTHER's, of which exemplar, crops and weights are read;
                                                the published method alone

All is computed in double precision; the file holds it rounded to float32, in PyTorch's layouts but where noted. Two
steps can be repeated on their own, the first and the last, so that no rounding grows from step to step. By name:

  What the run began with
    exemplar                 uint8 [H, W, 3]: the source image, RGB
    vgg.LAYER.{weight,bias}  conv1_1 ... conv5_1 of a VGG19 with few channels
    init.NETWORK.NAME        every parameter and running average; NETWORK is generator or discriminator
                             A discriminator with spectral norm has its singular vectors beside each weight, as weight_u
                             and, laid out like a filter, weight_v; they move once for each of its updates.
  What it drew
    crops                    int32 [steps, 4]: row and column of the target in the exemplar, of the source in the target
  The first step
    grad.NETWORK.NAME        gradients: for the discriminator of the mean of its two losses, for the generator of
                             adversarial + 100 L1 + style
    tie.NETWORK.NAME         [1]: by how much ties may change that gradient, see below
  The last step
    last.before.NETWORK.NAME as init, before it (the run itself goes on from these rounded values)
    last.mean.NETWORK.NAME   Adam's moments before it
    last.square.NETWORK.NAME
    last.grad.NETWORK.NAME, last.tie.NETWORK.NAME
    last.before.average.NAME with --ema, the averaged generator before it
    final.NETWORK.NAME       as init, after it
    average.generator.NAME   with --ema, the averaged generator after it
  All steps
    losses                   [steps, 6]: discriminator on the fake, on the target; adversarial, L1, style; zero
  The end
    expanded.batch           [3, 2h, 2w]: the exemplar, cropped to multiples of 4, through the final generator with
                             batch norm on the image's own statistics
    expanded.running         the same on the running averages

Ties. The derivative of a (leaky) ReLU jumps at 0, that of a maximum where two inputs are equal, that of |x| at 0. Where an
argument lies within rounding of its jump (TIE times the root mean square of its layer), single precision may take
either side, and both are right. Each such place is turned to its other side on its own, which changes the gradient
by some vector; `tie` is the sum of these vectors' lengths. A gradient may be as far off as that and no further.

The metadata's "config" is the options as JSON; a replay needs k, ngf, ndf, blocks, d_layers and steps of it,
"arithmetic": "float64", and norm, discriminator_norm, upsample, adversarial and ema where they are there. Always: no dropout, reflection padding, rate 2e-4, RGB in [-1, 1] into VGG, relu1_1 ... relu5_1
tapped.
"""
import argparse
import copy
import json
import os

import torch
from safetensors import safe_open
from safetensors.torch import save_file

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
    parser.add_argument("--upsample", choices=["transposed", "nearest"], default="transposed")
    parser.add_argument("--adversarial", choices=["bce", "hinge"], default="bce")
    parser.add_argument("--ema", type=float, default=0.0)
    parser.add_argument("--last-gain", type=float, default=1.0,
                        help="multiplies the discriminator's last weight, so that logits reach past hinge's margins")
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


def named(values):
    """By texloom's names; spectral norm's vectors in texloom's shapes."""
    for name, value in values.items():
        place = name.replace(".parametrizations.weight.original", ".weight").replace(".parametrizations.weight.0.", ".weight")
        if name.endswith("._v"):
            weight = values[name.replace(".0._v", ".original")]
            value = value.reshape(1, *weight.shape[1:])
        if not name.endswith("num_batches_tracked"):
            yield place, value


def state(prefix, network):
    return {f"{prefix}.{name}": value.clone() for name, value in named(network.state_dict())}


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


def rounded(network, optimiser):
    """Rounds a network's values and moments to single precision, as the file will hold them."""
    for value in network.state_dict().values():
        value.copy_(value.float())
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
    if args.like:
        for prefix, network in ("init.generator.", generator), ("init.discriminator.", discriminator), ("vgg.", vgg):
            network.load_state_dict({name[len(prefix):]: value for name, value in tensors.items()
                                     if name.startswith(prefix)}, strict=False)
        return exemplar, generator, discriminator, vgg, crops
    model.initialise(generator, he=args.norm == "none")
    model.initialise(discriminator, he=args.discriminator_norm != "batch")
    with torch.no_grad():
        model.weight_of(discriminator.last).mul_(args.last_gain)
    for parameter in vgg.parameters():
        # He's deviation keeps the deep taps as loud as the first, so that an error in any of them shows.
        fan = parameter[0].numel()
        parameter.data.normal_(0, (2 / fan) ** 0.5 if parameter.dim() == 4 else 0.05)
    spare = (args.height - 2 * args.k, args.width - 2 * args.k, args.k, args.k)
    crops = [[int(torch.randint(limit + 1, ())) for limit in spare] for _ in range(args.steps)]
    return exemplar, generator, discriminator, vgg, crops


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
    exemplar, generator, discriminator, vgg, crops = initial(args)
    image = (exemplar.float() / 127.5 - 1).permute(2, 0, 1).double()
    networks = {"generator": generator.double(), "discriminator": discriminator.double()}
    vgg.double()
    average = copy.deepcopy(generator)
    against = model.hinge if args.adversarial == "hinge" else model.against
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
            if args.ema:
                for value in average.parameters():
                    value.data.copy_(value.data.float())
                tensors |= state("last.before.average", average)
            for name, network in networks.items():
                rounded(network, optimisers[name])
                tensors |= state(f"last.before.{name}", network)
                for parameter, value in named(dict(network.named_parameters())):
                    adam = optimisers[name].state[value]
                    tensors[f"last.mean.{name}.{parameter}"] = adam["exp_avg"].clone()
                    tensors[f"last.square.{name}.{parameter}"] = adam["exp_avg_sq"].clone()

        def update(name, loss, calls):
            is_kept = is_last or step == 0
            found, bounds, count = gradients(networks[name], loss, calls if is_kept else [])
            for parameter, value in networks[name].named_parameters():
                value.grad = found[parameter]
            if is_kept:
                ties.append(count)
                tensors.update({f"{prefix}grad.{name}.{parameter}": value for parameter, value in named(found)})
                tensors.update({f"{prefix}tie.{name}.{parameter}": value for parameter, value in named(bounds)})
            optimisers[name].step()

        functional.kinks = []
        fake = generator(source)
        generated, functional.kinks = functional.kinks, []
        fake_logits, real_logits = judge(discriminator, fake.detach(), target)
        on_fake, on_real = against(fake_logits, 0.0), against(real_logits, 1.0)
        update("discriminator", (on_fake + on_real) / 2, functional.kinks)

        functional.kinks = []
        # Of spectral norm, the vectors of the update with the weights behind it.
        discriminator.train(args.discriminator_norm != "spectral")
        logits = discriminator(fake)
        discriminator.train()
        adversarial = -logits.mean() if args.adversarial == "hinge" else model.against(logits, 1.0)
        l1 = functional.absolute(fake - target).mean()
        style = model.style_loss(vgg(fake), vgg(target))
        update("generator", adversarial + 100 * l1 + style, generated + functional.kinks)
        with torch.no_grad():
            memory = min(args.ema, (step + 1) / (step + 11))
            for mean, value in zip(average.parameters(), generator.parameters()):
                mean.lerp_(value, 1 - memory)
        losses.append([loss.item() for loss in (on_fake, on_real, adversarial, l1, style)] + [0.0])

    for name, network in networks.items():
        tensors |= state(f"final.{name}", network)
        # What comes of the rounded values that the file holds.
        rounded(network, optimisers[name])
    if args.ema:
        tensors |= state("average.generator", average)
    tensors["crops"] = torch.tensor(crops, dtype=torch.int32)
    tensors["losses"] = torch.tensor(losses)
    whole = image[:, :args.height // 4 * 4, :args.width // 4 * 4]
    tensors["expanded.batch"] = model.expand(generator, whole, "image")
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
