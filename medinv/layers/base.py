"""The one protocol of the library, and the two ways to combine layers."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from medinv.errors import ConfigError, ShapeError


class Invertible(nn.Module, ABC):
    """A bijection `y = f(x)` between batches of tensors, with its inverse and its volume change.

    Shapes: `x` is (N, C, *size); `log_det` is (N,), the natural logarithm of |det df/dx| for each
    image. Layers hold in float32 and float64, on any device, and after their weights change.
    Concrete layers are final: they are not subclassed.

    A new layer needs these three methods, a docstring with its formula that says whether it is
    bit-exact or exact in algebra, and a line in `tests/laws.py`, which proves the rest. The
    smallest that obeys every law:

        class Shift(Invertible):
            \"""`y = x + bias` a channel. Exact in algebra.\"""

            def __init__(self, channels: int):
                super().__init__()
                self.bias = nn.Parameter(torch.zeros(channels))

            def forward(self, x: Tensor) -> Tensor:
                check_images(x, len(self.bias), "Shift")
                return x + self.bias[:, None, None]

            def inverse(self, y: Tensor) -> Tensor:
                check_images(y, len(self.bias), "Shift.inverse")
                return y - self.bias[:, None, None]

            def log_det(self, x: Tensor) -> Tensor:
                return x.new_zeros(x.shape[0])
    """

    isometric = False  # every Jacobian keeps lengths
    bit_exact = False  # integers go and return without any rounding
    conditional = False  # every method takes a condition as its second argument

    @abstractmethod
    def forward(self, x: Tensor) -> Tensor:
        """f(x)."""

    @abstractmethod
    def inverse(self, y: Tensor) -> Tensor:
        """The x of which `y` is the image."""

    @abstractmethod
    def log_det(self, x: Tensor) -> Tensor:
        """log |det df/dx| of each image, (N,)."""

    def call_and_log_det(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """`(f(x), log_det(x))`; layers whose two results share work override it."""
        return self(x), self.log_det(x)

    def initialise(self, x: Tensor) -> Tensor:
        """Set weights that depend on data from a first batch (ActNorm); returns `f(x)`.

        Source: Kingma and Dhariwal 2018, 1807.03039.
        """
        return self(x)

    def forget(self) -> None:
        """Free what `inverse` keeps to be quick the next time; it is made anew when needed."""
        for module in self.children():
            for layer in module if isinstance(module, nn.ModuleList) else [module]:
                if isinstance(layer, Invertible):
                    layer.forget()

    def inverse_norm(self, x: Tensor, iterations: int = 30) -> Tensor:
        """Largest singular value (N,) of the inverse's Jacobian at `f(x)`: by how much an error in
        `y` can grow on the way back.

        Layers that know it override this; otherwise by power iteration, a lower estimate.
        """
        x = x.detach()
        with torch.no_grad():
            y = self(x)
        return jacobian_norm(self.inverse, y, iterations)

    def condition_number(self, x: Tensor, iterations: int = 30) -> Tensor:
        """Ratio (N,) of the largest to the smallest singular value of the Jacobian at `x`.

        Layers that know it override this. Otherwise it is `|J| |J^-1|`, each norm by power
        iteration on `J^T J`: a lower estimate that grows towards the truth with `iterations`.
        """
        x = x.detach()
        return jacobian_norm(self.forward, x, iterations) * self.inverse_norm(x, iterations)


class LeftInvertible(Invertible):
    """An injection into a larger space: `inverse(f(x)) = x`, while `f(inverse(y))` is the
    projection of y onto what f can make.

    `log_det` is `1/2 log det J^T J`, the growth of volume within the image of f. No density follows
    from it where f does not reach.
    """

    @torch.no_grad()
    def residual(self, y: Tensor) -> Tensor:
        """How far (N,) `inverse` moves each `y` (N, ...) to reach the image of f, the largest
        absolute value: zero if nothing is lost.
        """
        return (self(self.inverse(y)) - y).abs().flatten(1).amax(1)


class Chain(Invertible):
    """Layers one after another: `f = f_n o ... o f_1`, `log_det = sum of log_det`.

    After a layer that is only left-invertible that sum holds for isometries alone, so that
    `log_det` refuses any other layer there (ConfigError). A `condition`, the second argument of
    every method, goes to the layers that take one.

    >>> from medinv.layers import Haar, InvertibleConv2d
    >>> chain = Chain(Haar(), InvertibleConv2d(4))
    >>> x = torch.randn(2, 1, 8, 8)
    >>> chain(x).shape, chain.log_det(x).shape
    (torch.Size([2, 4, 4, 4]), torch.Size([2]))
    """

    def __init__(self, *layers: Invertible):
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self.isometric = all(layer.isometric for layer in layers)
        self.bit_exact = all(layer.bit_exact for layer in layers)
        self.conditional = any(layer.conditional for layer in layers)

    def __iter__(self) -> Iterator[Invertible]:
        return iter(self.layers)  # type: ignore[arg-type]

    def __len__(self) -> int:
        return len(self.layers)

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """y."""
        for layer in self:
            x = layer(x, *given(layer, condition))
        return x

    def inverse(self, y: Tensor, condition: Tensor | None = None) -> Tensor:
        """x."""
        for layer in reversed(list(self)):
            y = layer.inverse(y, *given(layer, condition))
        return y

    def log_det(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """(N,)."""
        return self.call_and_log_det(x, condition)[1]

    def call_and_log_det(self, x: Tensor, condition: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Both."""
        self._check_volume()
        total = x.new_zeros(x.shape[0])
        for layer in self:
            x, log_det = layer.call_and_log_det(x, *given(layer, condition))
            total = total + log_det
        return x, total

    def _check_volume(self) -> None:
        widened = None
        for layer in self:
            if widened and not layer.isometric:
                got = f"got {type(layer).__name__}; put it before"
                wanted = f"isometries alone after {widened}, which widens"
                raise ConfigError(f"the log-determinant of a chain expects {wanted}; {got}")
            if isinstance(layer, LeftInvertible):
                widened = type(layer).__name__

    def initialise(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """Layer after layer, each from what the one before makes."""
        for layer in self:
            x = layer.initialise(x, *given(layer, condition))
        return x


def given(layer: Invertible, condition: Tensor | None) -> tuple[Tensor, ...]:
    """What to call a layer with beside its images."""
    return (condition,) if layer.conditional and condition is not None else ()


class Inverse(Invertible):
    """The inverse of a layer, as a layer: `Inverse(f)(y) = f.inverse(y)`, `log_det(y) =
    -f.log_det(f.inverse(y))`.
    """

    def __init__(self, layer: Invertible):
        super().__init__()
        self.layer = layer
        self.isometric = layer.isometric and not isinstance(layer, LeftInvertible)
        self.bit_exact = layer.bit_exact

    def forward(self, x: Tensor) -> Tensor:
        """y."""
        return self.layer.inverse(x)

    def inverse(self, y: Tensor) -> Tensor:
        """x."""
        return self.layer(y)

    def log_det(self, x: Tensor) -> Tensor:
        """(N,)."""
        return self.call_and_log_det(x)[1]

    def call_and_log_det(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Both."""
        y = self.layer.inverse(x)
        return y, -self.layer.log_det(y)

    def condition_number(self, x: Tensor, iterations: int = 30) -> Tensor:
        """(N,)."""
        return self.layer.condition_number(self.layer.inverse(x), iterations)


def total(values: Tensor) -> Tensor:
    """The sum (N,) over all values (N, ...) of an image, in float32 at least."""
    exact = torch.promote_types(values.dtype, torch.float32)
    return values.flatten(1).sum(1, dtype=exact)


def jacobian_norm(function: Callable[[Tensor], Tensor], x: Tensor, iterations: int) -> Tensor:
    """Largest singular value (N,) of the Jacobian of `function` at `x` (N, ...), by power iteration
    on `J^T J` (seeded, so repeatable).
    """
    generator = torch.Generator().manual_seed(0)
    v = torch.randn(x.shape, generator=generator, dtype=x.dtype).to(x.device)
    axes = tuple(range(1, x.ndim))
    for _ in range(iterations):
        v = v / torch.linalg.vector_norm(v, dim=axes, keepdim=True).clamp_min(
            1e-300 if x.dtype == torch.float64 else 1e-30
        )
        jv = torch.autograd.functional.jvp(function, x, v)[1]
        v = torch.autograd.functional.vjp(function, x, jv)[1]
    return torch.linalg.vector_norm(jv, dim=axes)


def check_images(x: Tensor, channels: int | None, layer: str, *, multiple_of: int = 1) -> None:
    """Raise ShapeError unless `x` is a floating (N, channels, H, W) batch.

    H and W are to be divisible by `multiple_of`.
    """
    check_shape(x, channels, 2, layer)
    check_floating(x, layer)
    if x.shape[2] % multiple_of or x.shape[3] % multiple_of or 0 in x.shape[2:]:
        wanted = f"height and width divisible by {multiple_of}"
        got = f"{tuple(x.shape)}; pad or resize the image"
        raise ShapeError(f"{layer} expects {wanted}; got {got}")


def check_shape(x: Tensor, channels: int | None, sides: int, layer: str) -> None:
    """Raise ShapeError unless `x` is (N, channels, *size) with so many `sides`."""
    if x.ndim != 2 + sides or (channels is not None and x.shape[1] != channels):
        size = ", ".join("DHW"[-sides:])
        wanted = f"(N, {'C' if channels is None else channels}, {size})"
        raise ShapeError(f"{layer} expects images of shape {wanted}; got {tuple(x.shape)}")


def check_floating(x: Tensor, layer: str) -> None:
    """Raise ShapeError unless `x` is real floating point."""
    if not x.is_floating_point():
        got = f"{x.dtype}; convert it with .float() or .double()"
        raise ShapeError(f"{layer} expects a floating-point tensor; got {got}")
