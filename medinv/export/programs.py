"""A model as functions of tensors alone, as exporters take it, and what holds them to the model."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from medinv.errors import ExportError
from medinv.layers.plain import plain
from medinv.models.base import Calibrated
from medinv.models.build import kind_of, scope_of

LOGITS = 1e-3  # relative difference of logits beyond which a program is another model
EXACT = 0.5  # grey levels: what rounding takes away

FORWARDS = "image to features and scores: traced, written, read back and compared"
BACKWARDS = "features to image: traced, written, read back and compared"
Progress = Callable[[str], None]


def say_nothing(text: str) -> None:
    """For callers who want no word on what takes long."""


class Forwards(nn.Module):
    """Images (N, C, *size) in grey levels -> the tensors that `outputs` names.

    logits (N, K); probabilities (N, K), calibrated; of kinds with a scope, scope (N,), out of scope
    above the model's threshold; of networks that run backwards, features.
    """

    def __init__(self, network: Calibrated, *, scope: bool, invertible: bool):
        super().__init__()
        self.network, self.scope, self.invertible = network, scope, invertible
        more = ("scope",) * scope + ("features",) * invertible
        self.outputs: tuple[str, ...] = ("logits", "probabilities", *more)

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """The outputs, in order. Of networks that run backwards by one pass through the trunk."""
        network: Any = self.network
        if not self.invertible:
            logits = network.logits(image)
            return logits, network.calibrated(logits).softmax(1)
        read = network.read(image, scope=self.scope)
        scope = (read.scope,) if self.scope else ()
        return (read.logits, read.probabilities, *scope, read.features)


class Backwards(nn.Module):
    """Features -> the image that has them, in grey levels, unrounded."""

    outputs: tuple[str, ...] = ("image",)

    def __init__(self, network: Calibrated):
        super().__init__()
        self.network = network

    def forward(self, features: Tensor) -> Tensor:
        """(N, C', *size') -> (N, C, *size)."""
        network: Any = self.network
        return network.invert(features)


@dataclass(frozen=True)
class Programs:
    """What an exporter is given: modules in evaluation mode, and images to hold them to.

    `kept` are the convolutions whose inverse stays an operator of medinv's.
    """

    forwards: Forwards
    backwards: Backwards | None  # of networks that run backwards
    images: Tensor  # (3, C, *size)
    expected: tuple[Tensor, ...]  # of `images`, by the model itself
    threshold: float | None  # of the scope
    kept: tuple[str, ...]


@torch.no_grad()
def programs(model: Calibrated, dtype: torch.dtype) -> Programs:
    """The programs of a model, in `dtype`. Raises SingularError where it has no inverse."""
    config = model.card.config
    images = smooth_images(config.image_shape)
    kind = kind_of(config.model)
    copy, kept = plain(model, images[:1].to(next(model.parameters())))
    network: Any = copy.to(dtype)
    scope = scope_of(network, config.model)
    forwards = Forwards(network, scope=scope is not None, invertible=kind.invertible).eval()
    itself = Forwards(model, scope=scope is not None, invertible=kind.invertible)
    expected = tuple(one.double() for one in itself(images.to(next(model.parameters()))))
    return Programs(
        forwards=forwards,
        backwards=Backwards(network).eval() if kind.invertible else None,
        images=images.to(dtype),
        expected=expected,
        threshold=None if scope is None else scope.threshold,
        kept=kept if kind.invertible else (),
    )


def smooth_images(shape: tuple[int, ...]) -> Tensor:
    """Three smooth images (3, C, *size) of whole grey levels, float64, the same each time."""
    channels, *size = shape
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(3, channels, *[4] * len(size), generator=generator, dtype=torch.float64)
    mode = "bilinear" if len(size) == 2 else "trilinear"
    smooth = F.interpolate(coarse, tuple(size), mode=mode, align_corners=False)
    return (255 * smooth).round()


@dataclass(frozen=True)
class Checked:
    """How far a written program is from the model, on three images."""

    logits: float  # largest difference
    image: float | None  # largest distance, grey levels, of what comes back from what went in

    @property
    def exact(self) -> bool:
        """Every stored value comes back after rounding."""
        return self.image is not None and self.image < EXACT


def check(made: Programs, outputs: tuple[Tensor, ...], restored: Tensor | None) -> Checked:
    """Hold what written programs gave for `made.images` to what the model says.

    Raises ExportError where the logits or the image are not the model's.
    """
    logits = (outputs[0].double() - made.expected[0]).abs().max().item()
    if not logits <= LOGITS * (1 + made.expected[0].abs().max().item()):
        raise ExportError(
            f"the exported program gives other logits than the model, by {logits:.2g}: not written"
        )
    if restored is None:
        return Checked(logits, None)
    return Checked(logits, (restored.double() - made.images.double()).abs().max().item())
