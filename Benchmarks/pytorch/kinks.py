"""ReLUs, maxima and absolute values that know where their derivative is ambiguous, and can take the other side.

If an argument lies within rounding of the point at which the derivative jumps, single precision may fall on either
side. Such a place is a tie.
"""
import contextlib

import torch
from torch.nn import functional as F

# Of the root mean square of a layer: single precision's rounding after a dozen layers of fast convolutions.
TIE = 2e-5


class Kink:
    """One call of a function with a jump: where it is tied, and which tie is turned at the moment, if any."""

    def __init__(self, distance, scale):
        self.ties = (distance.abs() < TIE * scale).flatten().nonzero().flatten().tolist()
        self.turned = None

    def turn(self, chosen):
        """Booleans or numbers of two choices, with the turned tie's other one in its place."""
        if self.turned is None:
            return chosen
        other = chosen.clone().flatten()
        other[self.turned] = ~other[self.turned] if other.dtype == torch.bool else 1 - other[self.turned]
        return other.view(chosen.shape)


class Slope(torch.autograd.Function):
    """x where it is positive, slope times x where it is not: relu 0, leaky relu 0.2, |x| -1."""

    @staticmethod
    def forward(context, x, slope, kink):
        context.save_for_backward(x)
        context.slope, context.kink = slope, kink
        return torch.where(x > 0, x, slope * x)

    @staticmethod
    def backward(context, gradient):
        x, = context.saved_tensors
        return torch.where(context.kink.turn(x > 0), gradient, context.slope * gradient), None, None


class Maximum(torch.autograd.Function):
    """The maximum over the last dimension."""

    @staticmethod
    def forward(context, x, kink):
        best = x.topk(2).indices
        context.save_for_backward(best)
        context.size, context.kink = x.shape, kink
        return x.gather(-1, best[..., :1])[..., 0]

    @staticmethod
    def backward(context, gradient):
        best, = context.saved_tensors
        place = context.kink.turn(torch.zeros_like(best[..., 0]))
        result = gradient.new_zeros(context.size)
        result.scatter_(-1, best.gather(-1, place[..., None]), gradient[..., None])
        return result, None


class Functional:
    """torch.nn.functional, with every kink of what has a gradient in `kinks`."""

    def __init__(self):
        self.kinks = []

    def __getattr__(self, name):
        return getattr(F, name)

    def note(self, x, distance, scale):
        kink = Kink(distance, scale)
        if x.requires_grad:
            self.kinks.append(kink)
        return kink

    def slope(self, x, slope):
        return Slope.apply(x, slope, self.note(x, x.detach(), x.detach().square().mean().sqrt()))

    def relu(self, x):
        return self.slope(x, 0.0)

    def leaky_relu(self, x, slope):
        return self.slope(x, slope)

    def absolute(self, x):
        return self.slope(x, -1.0)

    def max_pool2d(self, x, size):
        assert size == 2
        n, c, h, w = x.shape
        parts = x[..., :h // 2 * 2, :w // 2 * 2].reshape(n, c, h // 2, 2, w // 2, 2).transpose(3, 4).flatten(-2)
        first, second = parts.detach().topk(2).values.unbind(-1)
        # Of a ReLU's zeros it does not matter which passes a gradient on.
        distance = torch.where(first > 0, first - second, torch.inf)
        return Maximum.apply(parts, self.note(x, distance, x.detach().square().mean().sqrt()))


@contextlib.contextmanager
def turned(kink, tie):
    kink.turned = tie
    yield
    kink.turned = None
