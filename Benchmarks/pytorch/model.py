"""The method in PyTorch: an independent implementation, to verify texloom's numbers.

From Zhou et al., "Non-stationary Texture Synthesis by Adversarial Expansion" (SIGGRAPH 2018). State dictionaries have
the names and shapes of texloom's files, so either side's networks load into the other's.
"""
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm


def conv(inputs, outputs, kernel, stride=1, pad=0, mode="reflect", bias=False):
    return nn.Conv2d(inputs, outputs, kernel, stride, pad, bias=bias, padding_mode=mode)


def norm(kind, width):
    return nn.BatchNorm2d(width) if kind == "batch" else nn.Identity()


class Residual(nn.Module):
    def __init__(self, width, dropout, padding, kind):
        super().__init__()
        bias = kind == "none"
        self.conv1 = conv(width, width, 3, pad=1, mode=padding, bias=bias)
        self.bn1 = norm(kind, width)
        self.dropout = nn.Dropout(dropout)
        self.conv2 = conv(width, width, 3, pad=1, mode=padding, bias=bias)
        self.bn2 = norm(kind, width)

    def forward(self, x):
        inner = self.dropout(F.relu(self.bn1(self.conv1(x))))
        return x + self.bn2(self.conv2(inner))


class Generator(nn.Module):
    """[1, 3, h, w] to [1, 3, 2h, 2w], both in [-1, 1]; h and w multiples of 4."""

    def __init__(self, ngf=64, blocks=6, dropout=0.5, padding="reflect", kind="batch", upsample="transposed"):
        super().__init__()
        bias = kind == "none"
        self.upsample = upsample
        self.head = conv(3, ngf, 7, pad=3, mode=padding, bias=bias)
        self.head_bn = norm(kind, ngf)
        self.down = nn.ModuleList(conv(ngf << i, ngf << i + 1, 3, 2, 1, "zeros", bias) for i in range(2))
        self.down_bn = nn.ModuleList(norm(kind, ngf << i + 1) for i in range(2))
        self.blocks = nn.ModuleList(Residual(4 * ngf, dropout, padding, kind) for _ in range(blocks))
        self.widen = conv(4 * ngf, 8 * ngf, 3, pad=1, mode="zeros", bias=bias)
        self.widen_bn = norm(kind, 8 * ngf)
        self.up = nn.ModuleList(self.enlarging(8 * ngf >> i, bias) for i in range(3))
        self.up_bn = nn.ModuleList(norm(kind, 4 * ngf >> i) for i in range(3))
        self.tail = conv(ngf, 3, 7, pad=3, mode=padding, bias=True)

    def enlarging(self, inputs, bias):
        if self.upsample == "nearest":
            return conv(inputs, inputs // 2, 3, pad=1, mode="zeros", bias=bias)
        return nn.ConvTranspose2d(inputs, inputs // 2, 3, 2, 1, output_padding=1, bias=bias)

    def forward(self, x):
        x = F.relu(self.head_bn(self.head(x)))
        for layer, normalise in zip(self.down, self.down_bn):
            x = F.relu(normalise(layer(x)))
        for block in self.blocks:
            x = block(x)
        x = F.relu(self.widen_bn(self.widen(x)))
        for layer, normalise in zip(self.up, self.up_bn):
            if self.upsample == "nearest":
                x = F.interpolate(x, scale_factor=2)
            x = F.relu(normalise(layer(x)))
        return torch.tanh(self.tail(x))


class Discriminator(nn.Module):
    """[1, 3, h, w] in [-1, 1] to one logit for each overlapping patch."""

    def __init__(self, ndf=64, layers=4, kind="batch"):
        super().__init__()
        bias = kind != "batch"
        widths = [ndf] + [ndf * min(2 << i, 8) for i in range(layers)]
        self.first = conv(3, ndf, 4, 2, 1, "zeros", bias=True)
        self.convs = nn.ModuleList(
            conv(widths[i], widths[i + 1], 4, 2 if i < layers - 1 else 1, 1, "zeros", bias) for i in range(layers))
        self.norms = nn.ModuleList(norm(kind, width) for width in widths[1:])
        self.last = conv(widths[-1], 1, 4, pad=1, mode="zeros", bias=True)
        if kind == "spectral":
            for layer in [self.first, *self.convs, self.last]:
                spectral_norm(layer)

    def forward(self, x):
        x = F.leaky_relu(self.first(x), 0.2)
        for layer, normalise in zip(self.convs, self.norms):
            x = F.leaky_relu(normalise(layer(x)), 0.2)
        return self.last(x)


class StyleFeatures(nn.Module):
    """VGG19 as far as conv5_1; returns the Gram matrices, F F^T / (H W), at relu1_1 ... relu5_1.

    `width` is the first block's; 64 is VGG's. `least` and `most` bound the widths, for thin ones in fixtures.
    """

    PLAN = (2, 2, 4, 4, 1)

    def __init__(self, width=64, least=1, most=512):
        super().__init__()
        channels = 3
        for block, count in enumerate(self.PLAN):
            outputs = min(max(width * min(1 << block, 8), least), most)
            for index in range(count):
                self.add_module(f"conv{block + 1}_{index + 1}", conv(channels, outputs, 3, pad=1, mode="zeros", bias=True))
                channels = outputs
        self.requires_grad_(False)

    def forward(self, x):
        grams = []
        for block, count in enumerate(self.PLAN):
            if block:
                x = F.max_pool2d(x, 2)
            for index in range(count):
                x = F.relu(getattr(self, f"conv{block + 1}_{index + 1}")(x))
                if index == 0:
                    features = x.flatten(2)[0]
                    grams.append(features @ features.T / features.shape[1])
        return grams


def style_loss(grams, targets):
    return sum(1000 / a.shape[0] ** 2 * F.mse_loss(a, b) for a, b in zip(grams, targets))


def against(logits, label):
    """Mean binary cross-entropy of logits with one label for all."""
    return F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, label))


def hinge(logits, label):
    """The discriminator's hinge loss of logits that should be high (label 1) or low (0)."""
    return F.relu(1 - logits if label else 1 + logits).mean()


def weight_of(layer):
    """The trained weight, spectrally normalised or not."""
    return layer.parametrizations.weight.original if hasattr(layer, "parametrizations") else layer.weight


def initialise(network, he=False):
    """Convolutions N(0, 0.02), or He's, with residual branches and the last layer of a generator small; gammas
    N(1, 0.02), all else zero."""
    for module in network.modules():
        if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
            if he:
                nn.init.kaiming_normal_(weight_of(module), nonlinearity="relu")
            else:
                nn.init.normal_(weight_of(module), 0, 0.02)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.weight, 1, 0.02)
    if he and isinstance(network, Generator):
        for block in network.blocks:
            nn.init.normal_(block.conv2.weight, 0, 0.005)
        nn.init.normal_(network.tail.weight, 0, 0.02)


def adam(network):
    return torch.optim.Adam(network.parameters(), lr=2e-4, betas=(0.5, 0.999), eps=1e-8, fused=True)


def expand(generator, image, statistics):
    """The generator's output for [3, h, w], with batch norm on the image's own statistics or the running ones."""
    norms = [module for module in generator.modules() if isinstance(module, nn.BatchNorm2d)]
    generator.eval()
    if statistics == "image":
        for norm in norms:
            norm.train()
            norm.momentum = 0.0
    with torch.no_grad():
        result = generator(image[None])[0]
    for norm in norms:
        norm.momentum = 0.1
    generator.train()
    return result
