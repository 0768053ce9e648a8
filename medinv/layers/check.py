"""Does a layer give its input back, and should it?

The prediction is first-order error analysis (Higham 2002, Accuracy and Stability of Numerical
Algorithms, chapters 2 and 3). Layer i rounds its output y_i on the way out and its input x_i on the
way back. With J the Jacobian of the inverse of the first i layers at y_i, an error d there reaches
the image as J d. For roundings that are independent and as large as the unit roundoff u allows, the
expected square of what arrives is `u^2 sum_i E |J diag(y_i)|_F^2`, and one random vector, taken
through the transposed Jacobians from the first layer to the last, estimates every term. The bound
is the worst case in place of the expected one: norms multiply, errors add.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from medinv.errors import ShapeError
from medinv.layers.base import Chain, Invertible

# predictions were within a factor of six of what was measured, from 15 to 300 layers and 1e-11 to 1
# grey level
MARGIN = 10.0
# unit roundoffs that a layer's rounding counts in the prediction; the bound takes twice as many
ROUNDINGS = 2.0


@dataclass(frozen=True)
class RoundTrip:
    """What `round_trip` found. Errors are in units of the stored values."""

    max_abs_error: float
    exact: Tensor  # (N,) bool: every value of the image comes back after rounding
    bits: int
    dtype: str
    worst_layer: (
        str | None
    )  # of a Chain: the layer whose inverse leaves the largest relative error, as "index name"
    restored: Tensor  # what came back, before rounding

    @property
    def all_exact(self) -> bool:
        """Whether every image came back."""
        return bool(self.exact.all())


@torch.no_grad()
def round_trip(layer: Invertible, x: Tensor, *, bits: int = 8) -> RoundTrip:
    """Run `x` (N, ...), integers from 0 to 2^bits - 1 held as floats, forwards and back, and
    compare.

    An image is exact if rounding restores every value, that is if no error reaches one half.
    """
    if not x.shape[0]:
        raise ShapeError(f"round_trip expects at least one image; got {tuple(x.shape)}")
    restored = layer.inverse(layer(x))
    error = (restored - x).abs().flatten(1)
    exact = (restored.round() == x).flatten(1).all(1)
    worst = _worst(layer, x) if isinstance(layer, Chain) else None
    return RoundTrip(
        error.max().item(), exact, bits, str(x.dtype).removeprefix("torch."), worst, restored
    )


def _worst(chain: Chain, x: Tensor) -> str:
    errors = []
    for index, layer in enumerate(chain):
        y = layer(x)
        scale = x.abs().max().clamp_min(torch.finfo(x.dtype).tiny)
        errors.append(
            (((layer.inverse(y) - x).abs().max() / scale).item(), f"{index} {type(layer).__name__}")
        )
        x = y
    return max(errors)[1]


@dataclass(frozen=True)
class LayerFigure:
    """What one layer does to errors on the way back; the largest over the images."""

    name: str  # "index name"
    inverse_norm: float  # largest factor by which its own inverse can amplify
    amplification: float  # expected factor from its output to the image, root mean square
    error: float  # expected error of the restored image that its rounding causes, root mean square


@dataclass(frozen=True)
class Prediction:
    """What the layers' spectra say of a round trip. Errors are in units of the stored values."""

    bits: int
    dtype: str
    layers: tuple[LayerFigure, ...]
    amplification: float  # expected, from the output to the image
    amplification_bound: float  # product of the inverse norms
    predicted_error: Tensor  # (N,) largest expected error of an image
    error_bound: Tensor  # (N,) first-order worst case
    worst_layer: str  # that whose rounding costs the image most

    @property
    def predicted_exact(self) -> Tensor:
        """(N,) bool: the expected error stays below one half with a tenfold margin."""
        return self.predicted_error * MARGIN < 0.5

    @property
    def promised(self) -> Tensor:
        """(N,) bool: even the worst case stays below one half."""
        return self.error_bound < 0.5


@dataclass(frozen=True)
class Certificate(Prediction):
    """What `certify` predicted and what it then measured; an image is exact below one half."""

    measured_error: Tensor  # (N,)
    exact: Tensor  # (N,) bool: measured, every value of the image came back

    @property
    def all_exact(self) -> bool:
        """Whether every image came back."""
        return bool(self.exact.all())


def predict(layer: Invertible, x: Tensor, bits: int = 8, *, iterations: int = 10) -> Prediction:
    """Say from the layers' spectra whether `x` will come back exactly, before its inverse is run.

    Arguments:
        layer: with statistics in evaluation mode.
        x: (N, ...), integers from 0 to 2^bits - 1 held as floats.
        bits: of the stored values.
        iterations: of power iteration, spent on a layer that does not know its inverse norm.

    Raises ShapeError if `x` is not such integers, or holds no image.

    >>> from medinv.layers import Chain, InvertibleConv2d, LeakyReLU
    >>> stack = Chain(*[InvertibleConv2d(3), LeakyReLU(0.5)] * 8)
    >>> x = torch.randint(0, 256, (2, 3, 8, 8)).float()
    >>> predict(stack, x).amplification_bound > 2**8
    True
    """
    whole = x.is_floating_point() and x.numel() > 0 and torch.equal(x, x.round())
    if not whole or x.min() < 0 or x.max() >= 2**bits:
        wanted = f"integers from 0 to {2**bits - 1} held as floats"
        advice = "round the image or give its number of bits"
        got = f"{x.dtype} of shape {tuple(x.shape)}"
        raise ShapeError(f"certify expects {wanted}; got {got}; {advice}")
    figures, square, bound = [], x.new_zeros(x.shape[0]), x.new_zeros(x.shape[0])
    for figure, term, worst in _sweep(layer, x, iterations):
        figures.append(figure)
        square, bound = square + term, bound + worst
    return Prediction(
        bits,
        str(x.dtype).removeprefix("torch."),
        tuple(figures),
        figures[-1].amplification,
        math.prod(figure.inverse_norm for figure in figures),
        _largest(square, x[0].numel()),
        bound,
        max(figures, key=lambda figure: figure.error).name,
    )


def certify(layer: Invertible, x: Tensor, bits: int = 8, *, iterations: int = 10) -> Certificate:
    """`predict`, with the same arguments; then measure it.

    >>> from medinv.layers import InvertibleConv2d
    >>> certify(InvertibleConv2d(3), torch.randint(0, 256, (2, 3, 8, 8)).float()).all_exact
    True
    """
    told = predict(layer, x, bits, iterations=iterations)
    trip = round_trip(layer, x, bits=bits)
    error = (trip.restored - x).abs().flatten(1).amax(1)
    return Certificate(**vars(told), measured_error=error, exact=trip.exact)


def expected_error(layer: Invertible, x: Tensor) -> Tensor:
    """The largest expected error (N,) of images `x` (N, ...) in its type, `Prediction`'s, alone.

    Without norms and bounds, it costs about four inverses.

    >>> from medinv.layers import InvertibleConv2d
    >>> x = torch.randint(0, 256, (2, 3, 8, 8)).float()
    >>> bool((expected_error(InvertibleConv2d(3), x) < 0.01).all())
    True
    """
    square = sum((passed.term for passed in _arrivals(layer, x)), x.new_zeros(x.shape[0]))
    return _largest(square, x[0].numel())


def _largest(square: Tensor, values: int) -> Tensor:
    """The largest of so many normal deviates whose squares add up to `square`."""
    return (square / values).sqrt() * math.sqrt(2 * math.log(max(values, 2)))


@dataclass(frozen=True)
class _Passed:
    """One layer on the way: what goes in and out, and the random vector before and behind it."""

    step: Invertible
    x: Tensor
    y: Tensor
    probe: Tensor
    arrived: Tensor
    rounds: float  # unit roundoffs that the layer's rounding counts
    term: Tensor  # (N,) expected square error that its roundings cause


def _arrivals(layer: Invertible, x: Tensor) -> Iterator[_Passed]:
    unit = ROUNDINGS * torch.finfo(x.dtype).eps / 2
    generator = torch.Generator().manual_seed(0)
    probe = torch.randn(x.shape, generator=generator, dtype=x.dtype).to(x.device)
    for step in layer if isinstance(layer, Chain) else [layer]:
        with torch.no_grad():
            y = step(x)
        arrived = _pulled_back(step, y, probe)
        rounds = 0.0 if step.bit_exact and (step.isometric or torch.equal(x, x.round())) else unit
        term = (rounds * _length(probe * x)).square() + (rounds * _length(arrived * y)).square()
        yield _Passed(step, x, y, probe, arrived, rounds, term)
        x, probe = y, arrived


def _pulled_back(step: Invertible, y: Tensor, probe: Tensor) -> Tensor:
    """`probe` through the transposed Jacobian of the inverse at `y`.

    By the gradient of a number: where gradients of tensors are given, torch imports sympy, which
    takes longer than a small network.
    """
    with torch.enable_grad():
        given = y.detach().requires_grad_()
        (arrived,) = torch.autograd.grad((step.inverse(given) * probe).sum(), given)
    return arrived


def _sweep(
    layer: Invertible, x: Tensor, iterations: int
) -> Iterator[tuple[LayerFigure, Tensor, Tensor]]:
    """For each layer its figure, the expected square error (N,) that its roundings cause, and their
    worst case (N,).
    """
    start, norms, values = None, x.new_ones(x.shape[0]), x[0].numel()
    for index, passed in enumerate(_arrivals(layer, x)):
        start = _length(passed.probe) if start is None else start
        own = passed.step.inverse_norm(passed.x, iterations)
        worst = 2 * passed.rounds * norms * (_length(passed.x) + own * _length(passed.y))
        norms = norms * own
        figure = LayerFigure(
            f"{index} {type(passed.step).__name__}",
            own.max().item(),
            (_length(passed.arrived) / start).max().item(),
            (passed.term / values).sqrt().max().item(),
        )
        values = passed.y[0].numel()
        yield figure, passed.term, worst


def _length(x: Tensor) -> Tensor:
    return torch.linalg.vector_norm(x.flatten(1), dim=1)
