"""Normalisation: a scale and a shift a channel."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from medinv.errors import ConfigError, ShapeError, SingularError
from medinv.layers import processes
from medinv.layers.base import Invertible, check_images


class ActNorm(Invertible):
    """`y = (x + bias) exp(log_scale)` a channel; `initialise` gives its first batch zero mean and
    unit variance (1807.03039). Exact in algebra.
    """

    def __init__(self, channels: int):
        super().__init__()
        self.channels = channels
        self.log_scale = nn.Parameter(torch.zeros(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def extra_repr(self) -> str:
        """What `repr` shows."""
        return str(self.channels)

    def forward(self, x: Tensor) -> Tensor:
        """y."""
        check_images(x, self.channels, "ActNorm")
        scale = self.log_scale.exp()
        none, one = torch.zeros_like(scale), torch.ones_like(scale)
        shift = self.bias * scale
        # One kernel for what would be two; F.batch_norm of torch 2.11 refuses eps=0.
        return torch.batch_norm(x, scale, shift, none, one, False, 0.0, 0.0, True)

    def inverse(self, y: Tensor) -> Tensor:
        """x."""
        check_images(y, self.channels, "ActNorm.inverse")
        return y * (-self.log_scale).exp()[:, None, None] - self.bias[:, None, None]

    def log_det(self, x: Tensor) -> Tensor:
        """(N,)."""
        return log_det_of_scales(self.log_scale, x)

    @torch.no_grad()
    def initialise(self, x: Tensor) -> Tensor:
        """From a first batch."""
        check_images(x, self.channels, "ActNorm.initialise")
        if x.numel() < 2 * self.channels:
            got = f"{tuple(x.shape)}: one value has no spread; give more images"
            raise ShapeError(f"ActNorm.initialise expects at least two values a channel; got {got}")
        self.bias.copy_(-x.mean((0, 2, 3)))
        self.log_scale.copy_(-x.std((0, 2, 3)).add(1e-3).log())
        return self(x)

    def inverse_norm(self, x: Tensor, iterations: int = 0) -> Tensor:
        """Exact: 1 over the smallest scale."""
        return (-self.log_scale.detach().min()).exp().to(x.dtype).expand(x.shape[0])

    def condition_number(self, x: Tensor, iterations: int = 0) -> Tensor:
        """Exact: largest over smallest scale."""
        return (
            (self.log_scale.detach().max() - self.log_scale.detach().min())
            .exp()
            .to(x.dtype)
            .expand(x.shape[0])
        )


class FrozenNorm(Invertible):
    """`y = (x - mean) / std` a channel with fixed numbers that no training changes. Exact in
    algebra.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Sequence[float], std: Sequence[float]):
        super().__init__()
        if len(mean) != len(std) or not all(value > 0 for value in std):
            raise ConfigError(
                "FrozenNorm expects as many means as positive standard deviations;"
                f" got {list(mean)} and {list(std)}"
            )
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float64).float())
        self.register_buffer("std", torch.tensor(std, dtype=torch.float64).float())

    def extra_repr(self) -> str:
        """What `repr` shows."""
        return f"mean={self.mean.tolist()}, std={self.std.tolist()}"

    def forward(self, x: Tensor) -> Tensor:
        """y."""
        check_images(x, len(self.mean), "FrozenNorm")
        return (x - self.mean[:, None, None]) / self.std[:, None, None]

    def inverse(self, y: Tensor) -> Tensor:
        """x."""
        check_images(y, len(self.mean), "FrozenNorm.inverse")
        return y * self.std[:, None, None] + self.mean[:, None, None]

    def log_det(self, x: Tensor) -> Tensor:
        """(N,)."""
        return log_det_of_scales(-self.std.log(), x)

    def inverse_norm(self, x: Tensor, iterations: int = 0) -> Tensor:
        """Exact: the largest standard deviation."""
        return self.std.max().to(x.dtype).expand(x.shape[0])

    def condition_number(self, x: Tensor, iterations: int = 0) -> Tensor:
        """Exact: largest over smallest standard deviation."""
        return (self.std.max() / self.std.min()).to(x.dtype).expand(x.shape[0])


class InvertibleBatchNorm(Invertible):
    """`y = (x - mean) / sqrt(var + eps) * weight + bias` a channel: `torch.nn.BatchNorm2d`, with
    its state_dict keys, run backwards.

    In training mean and var are the batch's own (the gradient goes through them, as usual) and the
    running ones move towards them; in evaluation they are the running ones. `inverse` uses what the
    last `forward` in the same mode used, so that in training it undoes that very call. `log_det` is
    `H W sum(log |weight| - log(var + eps) / 2)`: in training the volume change of each image with
    the statistics of its batch given (1605.08803, appendix E). As a map of whole batches batch
    normalisation has no determinant, since every batch comes out with the same mean and variance.
    Exact in algebra.

    Raises ShapeError in training on fewer than two values a channel, and from `inverse` before any
    forward; SingularError if a weight is 0.
    """

    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor
    batch_mean: Tensor
    batch_var: Tensor

    def __init__(self, channels: int, *, eps: float = 1e-5, momentum: float = 0.1):
        super().__init__()
        if channels < 1 or not eps > 0 or not 0 < momentum <= 1:
            raise ConfigError(
                "InvertibleBatchNorm expects channels >= 1, eps > 0 and momentum in (0, 1];"
                f" got {channels}, {eps} and {momentum}"
            )
        self.channels, self.eps, self.momentum = channels, eps, momentum
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))
        self.register_buffer("num_batches_tracked", torch.tensor(0))
        self.register_buffer("batch_mean", None, persistent=False)
        self.register_buffer("batch_var", None, persistent=False)

    def extra_repr(self) -> str:
        """What `repr` shows."""
        return f"{self.channels}, eps={self.eps}, momentum={self.momentum}"

    def forward(self, x: Tensor) -> Tensor:
        """y."""
        check_images(x, self.channels, "InvertibleBatchNorm")
        if not self.training:
            return F.batch_norm(
                x, self.running_mean, self.running_var, self.weight, self.bias, False, 0.0, self.eps
            )
        self._check_count(x)
        if processes.size() > 1:
            return self._normalise(x, *self._observe(x))
        # The framework's own kernel: several times faster, and it keeps the statistics of 16-bit
        # activations in 32 bits.
        y, mean, inverse_std = torch.native_batch_norm(
            x,
            self.weight,
            self.bias,
            self.running_mean,
            self.running_var,
            True,
            self.momentum,
            self.eps,
        )
        self.batch_mean, self.batch_var = mean.detach(), inverse_std.detach() ** -2 - self.eps
        self.num_batches_tracked += 1
        return y

    def inverse(self, y: Tensor) -> Tensor:
        """x."""
        check_images(y, self.channels, "InvertibleBatchNorm.inverse")
        if self.training and self.batch_mean is None:
            raise ShapeError(
                "InvertibleBatchNorm.inverse expects a forward before it in training, whose"
                " statistics it undoes; got none"
            )
        if (self.weight == 0).any():
            raise SingularError(
                "InvertibleBatchNorm expects weights other than 0; a channel is lost"
            )
        mean, var = (
            (self.batch_mean, self.batch_var)
            if self.training
            else (self.running_mean, self.running_var)
        )
        gain = (var + self.eps).sqrt() / self.weight
        return (y - self.bias[:, None, None]) * gain[:, None, None] + mean[:, None, None]

    def log_det(self, x: Tensor) -> Tensor:
        """(N,)."""
        check_images(x, self.channels, "InvertibleBatchNorm")
        return self._log_det(x, self._statistics(x)[1])

    def call_and_log_det(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Both."""
        mean, var = self._observe(x)
        return self._normalise(x, mean, var), self._log_det(x, var)

    def inverse_norm(self, x: Tensor, iterations: int = 0) -> Tensor:
        """Exact: 1 over the smallest scale."""
        return (1 / self._scales(x).amin()).expand(x.shape[0])

    def condition_number(self, x: Tensor, iterations: int = 0) -> Tensor:
        """Exact: largest over smallest scale, the statistics given."""
        scales = self._scales(x)
        return (scales.amax() / scales.amin()).expand(x.shape[0])

    def _scales(self, x: Tensor) -> Tensor:
        return (
            self.weight.detach().abs() / (self._statistics(x.detach())[1] + self.eps).sqrt()
        ).to(x.dtype)

    def _statistics(self, x: Tensor) -> tuple[Tensor, Tensor]:
        if not self.training:
            return self.running_mean, self.running_var
        self._check_count(x)
        if processes.size() > 1:  # of the whole batch, of which this is a share
            centre = processes.mean(x.mean((0, 2, 3)))
            spread = (x - centre[:, None, None]).square().mean((0, 2, 3))
            return centre, processes.mean(spread)
        return x.mean((0, 2, 3)), x.var((0, 2, 3), correction=0)

    def _check_count(self, x: Tensor) -> None:
        if x.numel() < 2 * self.channels:
            raise ShapeError(
                "InvertibleBatchNorm expects at least two values a channel in training;"
                f" got {tuple(x.shape)}"
            )

    def _observe(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The statistics in force; in training they are kept for `inverse`, and the running ones
        move (the variance unbiased, as in torch).
        """
        check_images(x, self.channels, "InvertibleBatchNorm")
        mean, var = self._statistics(x)
        if self.training:
            with torch.no_grad():
                count = processes.size() * x.numel() // self.channels
                self.batch_mean, self.batch_var = mean.detach().clone(), var.detach().clone()
                self.running_mean.lerp_(mean.detach().to(self.running_mean.dtype), self.momentum)
                self.running_var.lerp_(
                    (var.detach() * count / (count - 1)).to(self.running_var.dtype), self.momentum
                )
                self.num_batches_tracked += 1
        return mean, var

    def _normalise(self, x: Tensor, mean: Tensor, var: Tensor) -> Tensor:
        gain = self.weight / (var + self.eps).sqrt()
        return (x - mean[:, None, None]) * gain[:, None, None] + self.bias[:, None, None]

    def _log_det(self, x: Tensor, var: Tensor) -> Tensor:
        return log_det_of_scales(self.weight.abs().log() - (var + self.eps).log() / 2, x)


def log_det_of_scales(logs: Tensor, x: Tensor) -> Tensor:
    """log |det| (N,) of scaling each channel of `x` (N, C, *size) by its exp(log), float32 at
    least.
    """
    exact = torch.promote_types(torch.promote_types(logs.dtype, x.dtype), torch.float32)
    return (logs.to(exact).sum() * math.prod(x.shape[2:])).expand(x.shape[0])
