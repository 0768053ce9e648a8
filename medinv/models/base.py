"""What every network here shares: logits, and the calibration that turns them into probabilities; and what those that run backwards share."""

import math
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from medinv.errors import ShapeError
from medinv.layers import Chain

if TYPE_CHECKING:
    from medinv.models.reference import Reference
    from medinv.models.store import Card


class Calibrated(nn.Module, ABC):
    """Class probabilities are softmax(temperature_inverse * logits + prior).

    The buffers are fitted on validation images (see `calibrate`): temperature, prior, and, of two classes, `decision_logit`, the calibrated log-odds of the
    positive class (the second) from which it is called.
    """

    card: "Card"
    reference: "Reference | None" = None
    classes: tuple[str, ...]
    temperature_inverse: Tensor  # ()
    prior: Tensor  # (K,)
    decision_logit: Tensor  # ()

    def __init__(self, classes: tuple[str, ...]):
        super().__init__()
        self.classes = classes
        self.register_buffer("temperature_inverse", torch.ones(()))
        self.register_buffer("prior", torch.zeros(len(classes)))
        self.register_buffer("decision_logit", torch.zeros(()))

    @abstractmethod
    def logits(self, x: Tensor) -> Tensor:
        """Uncalibrated logits (N, K) of images (N, C, H, W) in grey levels."""

    def calibrated(self, logits: Tensor) -> Tensor:
        """Logits (N, K) whose softmax is calibrated."""
        return self.temperature_inverse * logits + self.prior

    def probabilities(self, x: Tensor) -> Tensor:
        """Calibrated class probabilities (N, K)."""
        return self.calibrated(self.logits(x)).softmax(1)

    def log_odds(self, logits: Tensor) -> Tensor:
        """Calibrated log-odds (N,) of the positive class from logits (N, 2)."""
        calibrated = self.calibrated(logits)
        return calibrated[:, 1] - calibrated[:, 0]

    @property
    def threshold(self) -> float:
        """The probability of the positive class from which it is called."""
        return 1 / (1 + math.exp(-self.decision_logit.item()))


class InvertibleNetwork(Calibrated):
    """Images (N, C, *size) in grey levels -> features, from which the image comes back, and logits."""

    trunk: Chain
    image_shape: tuple[int, ...]

    def __init__(self, trunk: Chain, image_shape: tuple[int, ...], classes: tuple[str, ...]):
        super().__init__(classes)
        self.trunk, self.image_shape = trunk, image_shape

    def features(self, x: Tensor) -> Tensor:
        """The whole latent (N, C', *size'); its first channels decide. Raises ShapeError."""
        self._check(x)
        return self.trunk(x)

    def invert(self, z: Tensor) -> Tensor:
        """The image with features `z`, in grey levels, unrounded."""
        return self.trunk.inverse(z)

    def logits(self, x: Tensor) -> Tensor:
        return self.logits_of(self.features(x))

    @abstractmethod
    def logits_of(self, z: Tensor) -> Tensor:
        """Uncalibrated logits (N, K) of features."""

    def _check(self, x: Tensor) -> None:
        if tuple(x.shape[1:]) != self.image_shape:
            raise ShapeError(
                f"this model expects images of shape (N, {', '.join(map(str, self.image_shape))}); got {tuple(x.shape)}"
            )
