"""The method in PyTorch: an independent implementation to check texloom against.

From Zhou et al., "Non-stationary Texture Synthesis by Adversarial Expansion" (SIGGRAPH 2018). State dictionaries have
the names and shapes of texloom's files, so either side's networks load into the other's.
"""
import torch
from torch import nn
from torch.nn import functional as F


def conv(inputs, outputs, kernel, stride=1, pad=0, mode="reflect", bias=False):
    return nn.Conv2d(inputs, outputs, kernel, stride, pad, bias=bias, padding_mode=mode)


class Residual(nn.Module):
    def __init__(self, width, dropout, padding):
        super().__init__()
        self.conv1 = conv(width, width, 3, pad=1, mode=padding)
        self.bn1 = nn.BatchNorm2d(width)
        self.dropout = nn.Dropout(dropout)
        self.conv2 = conv(width, width, 3, pad=1, mode=padding)
        self.bn2 = nn.BatchNorm2d(width)

    def forward(self, x):
        inner = self.dropout(F.relu(self.bn1(self.conv1(x))))
        return x + self.bn2(self.conv2(inner))


class Generator(nn.Module):
    """[1, 3, h, w] to [1, 3, 2h, 2w], both in [-1, 1]; h and w multiples of 4."""

    def __init__(self, ngf=64, blocks=6, dropout=0.5, padding="reflect"):
        super().__init__()
        self.head = conv(3, ngf, 7, pad=3, mode=padding)
        self.head_bn = nn.BatchNorm2d(ngf)
        self.down = nn.ModuleList(conv(ngf << i, ngf << i + 1, 3, 2, 1, "zeros") for i in range(2))
        self.down_bn = nn.ModuleList(nn.BatchNorm2d(ngf << i + 1) for i in range(2))
        self.blocks = nn.ModuleList(Residual(4 * ngf, dropout, padding) for _ in range(blocks))
        self.widen = conv(4 * ngf, 8 * ngf, 3, pad=1, mode="zeros")
        self.widen_bn = nn.BatchNorm2d(8 * ngf)
        self.up = nn.ModuleList(
            nn.ConvTranspose2d(8 * ngf >> i, 4 * ngf >> i, 3, 2, 1, output_padding=1, bias=False) for i in range(3))
        self.up_bn = nn.ModuleList(nn.BatchNorm2d(4 * ngf >> i) for i in range(3))
        self.tail = conv(ngf, 3, 7, pad=3, mode=padding, bias=True)

    def forward(self, x):
        x = F.relu(self.head_bn(self.head(x)))
        for layer, norm in zip(self.down, self.down_bn):
            x = F.relu(norm(layer(x)))
        for block in self.blocks:
            x = block(x)
        x = F.relu(self.widen_bn(self.widen(x)))
        for layer, norm in zip(self.up, self.up_bn):
            x = F.relu(norm(layer(x)))
        return torch.tanh(self.tail(x))


class Discriminator(nn.Module):
    """[1, 3, h, w] in [-1, 1] to one logit for each overlapping patch."""

    def __init__(self, ndf=64, layers=4):
        super().__init__()
        widths = [ndf] + [ndf * min(2 << i, 8) for i in range(layers)]
        self.first = conv(3, ndf, 4, 2, 1, "zeros", bias=True)
        self.convs = nn.ModuleList(
            conv(widths[i], widths[i + 1], 4, 2 if i < layers - 1 else 1, 1, "zeros") for i in range(layers))
        self.norms = nn.ModuleList(nn.BatchNorm2d(width) for width in widths[1:])
        self.last = conv(widths[-1], 1, 4, pad=1, mode="zeros", bias=True)

    def forward(self, x):
        x = F.leaky_relu(self.first(x), 0.2)
        for layer, norm in zip(self.convs, self.norms):
            x = F.leaky_relu(norm(layer(x)), 0.2)
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


def initialise(network):
    """Convolutions N(0, 0.02), gammas N(1, 0.02), all else zero."""
    for module in network.modules():
        if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
            nn.init.normal_(module.weight, 0, 0.02)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.weight, 1, 0.02)


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
