"""What every network here shares: logits, and the calibration that turns them into probabilities.

Those that run backwards also share features from which the image comes back. `Kind` is what a kind
of model brings to training, calibration and its card.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from medinv.config import Config, HeadTrain, ModelConfig
from medinv.errors import ShapeError
from medinv.layers import Chain, InvertibleConv2d, InvertibleConv3d
from medinv.models.card import Card
from medinv.models.layout import Layout, Looked
from medinv.models.reference import Reference

SCOPE_QUANTILE = 0.995  # of validation images: the bound of a scope


class Calibrated(nn.Module, ABC):
    """Class probabilities are softmax(temperature_inverse * logits + prior).

    The buffers are fitted on validation images (see `medinv.training.calibrate`): temperature,
    prior, and, of two classes, `decision_logit`, the calibrated log-odds of the positive class (the
    second) from which it is called. `medinv.models.store.load` adds `card`, `reference` and, where
    there is none, `reference_missing`: why. `added` are buffers that a folder may lack, since
    models were written without them: they then stay as they were built, which says "not fitted".
    """

    added: ClassVar[frozenset[str]] = frozenset()
    ordered: bool = False  # the classes are grades, the lowest first
    bits: int = 8  # of a grey level of its images
    card: Card
    reference: Reference | None = None
    reference_missing: str | None = None
    layout: Layout | None = None
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
        """Uncalibrated logits (N, K) of images (N, C, *size) in grey levels."""

    def forward(self, x: Tensor) -> Tensor:
        """The same: logits (N, K), as MONAI's engines expect of a network."""
        return self.logits(x)

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

    def called(self, logits: Tensor) -> Tensor:
        """Numbers (N,) of the classes called: of two by the operating point, else the likeliest."""
        if len(self.classes) == 2:
            return (self.log_odds(logits) >= self.decision_logit).long()
        return self.calibrated(logits).argmax(1)

    def look_at(self, images: Tensor, called: Tensor) -> list[Looked]:
        """What the layout, where there is one, says of images (N, C, *size) called so, (N,)."""
        if self.layout is None:
            return [Looked()] * len(images)
        images = images.to(self.prior)
        return self.layout.look_at(images, called, lambda some: self.called(self.logits(some)))

    @property
    def threshold(self) -> float:
        """The probability of the positive class from which it is called."""
        return 1 / (1 + math.exp(-self.decision_logit.item()))

    def decays(self, name: str, parameter: nn.Parameter) -> bool:
        """Whether weight decay shrinks a parameter: kernels, but not scales and biases."""
        return parameter.ndim > 1

    @property
    def convolutions(self) -> int:
        """How many convolutions it has."""
        return sum(isinstance(module, nn.Conv2d | nn.Conv3d) for module in self.modules())


@dataclass(frozen=True)
class Reading:
    """What one forward pass says of N images."""

    features: Tensor  # (N, C', *size')
    logits: Tensor  # (N, K) uncalibrated
    probabilities: Tensor  # (N, K) calibrated
    scope: Tensor | None  # (N,) distance from images in scope; None of a model without a scope
    log_likelihoods: Tensor | None = None  # (N, K) nats, on grey levels; None without a density


class InvertibleNetwork(Calibrated):
    """Images (N, C, *size) in grey levels -> features, from which the image comes back, and logits.

    `coarse` is the number of the features' first channels: those that decide, linearly. Buffers
    fitted on training images by the kind: `typical_odds`, the median uncalibrated log-odds of
    images of each class, of two classes (2,) of the second against the first, of more (K, K) of
    the row's class against the column's; `scope_threshold`, the bound of `Reading.scope`, 0 while
    there is none. `pair` and `network` let a network of two classes stand where a question of two
    classes is asked (see `medinv.explanation.trunk.Pair`).
    """

    trunk: Chain
    image_shape: tuple[int, ...]
    coarse: int
    typical_odds: Tensor
    scope_threshold: Tensor  # ()
    pair: ClassVar[tuple[int, int]] = (1, 0)

    def __init__(self, trunk: Chain, image_shape: tuple[int, ...], classes: tuple[str, ...]):
        super().__init__(classes)
        self.trunk, self.image_shape = trunk, image_shape
        count = len(classes)
        self.register_buffer("typical_odds", torch.zeros(2 if count == 2 else (count, count)))
        self.register_buffer("scope_threshold", torch.zeros(()))

    @property
    def network(self) -> "InvertibleNetwork":
        """Itself."""
        return self

    def features(self, x: Tensor) -> Tensor:
        """The whole latent (N, C', *size'); its first channels decide. Raises ShapeError."""
        self._check(x)
        return self.trunk(x)

    def invert(self, z: Tensor) -> Tensor:
        """The image with features `z`, in grey levels, unrounded."""
        return self.trunk.inverse(z)

    def logits(self, x: Tensor) -> Tensor:
        """Uncalibrated logits (N, K) of images (N, C, *size) in grey levels. Raises ShapeError."""
        return self.logits_of(self.features(x))

    @abstractmethod
    def logits_of(self, z: Tensor) -> Tensor:
        """Uncalibrated logits (N, K) of features."""

    @abstractmethod
    def read(self, x: Tensor, *, scope: bool | None = None) -> Reading:
        """What one forward pass says of images (N, C, *size) in grey levels.

        `scope`: whether its score is wanted; None: where the model has one. An exporter, whose
        program cannot ask the model for a value, says it. Raises ShapeError.
        """

    @property
    @abstractmethod
    def class_weights(self) -> nn.Parameter:
        """What coarse features are held against, by class (K, ...)."""

    @abstractmethod
    def odds_terms(self, coarse: Tensor, towards: int, against: int) -> tuple[Tensor, Tensor]:
        """The uncalibrated log-odds of one class against another as a sum over coarse features.

        The terms are (N, C, *size), one a value of `coarse` and affine in it, and beside them what
        no value carries, ().
        """

    @abstractmethod
    def class_direction(self, towards: int, against: int, coarse: Tensor) -> Tensor:
        """The slope (C, *size) of those log-odds in coarse features (N, C, *size)."""

    @property
    def has_scope(self) -> bool:
        """Whether it can tell images that it was not made for."""
        return self.scope_threshold.item() > 0

    def in_scope(self, reading: Reading) -> Tensor:
        """Whether (N,) images are of the model's kind; all of them where it cannot tell."""
        if reading.scope is None:
            return torch.ones(len(reading.logits), dtype=torch.bool)
        return reading.scope <= self.scope_threshold

    def typical(self, target: int, other: int) -> Tensor:
        """Median uncalibrated log-odds () of `target` against `other` over images of `target`."""
        if len(self.classes) > 2:
            return self.typical_odds[target, other]
        return self.typical_odds[1] if target else -self.typical_odds[0]

    @torch.no_grad()
    def fit_typical_odds(self, logits: Tensor, labels: Tensor) -> None:
        """From the logits (n, K) of training images and their labels (n,).

        Classes without images keep 0, which says that nothing is known of them.
        """
        of_class = [logits[labels == k] for k in range(len(self.classes))]
        if len(self.classes) == 2:
            odds = [(each[:, 1] - each[:, 0]).median() for each in of_class]
            self.typical_odds.copy_(torch.stack(odds))
            return
        for k, each in enumerate(of_class):
            if len(each):
                self.typical_odds[k] = (each[:, k : k + 1] - each).median(0).values

    def decays(self, name: str, parameter: nn.Parameter) -> bool:
        """Kernels within couplings alone: inverted kernels and class means keep their size."""
        return ".net." in name and parameter.ndim > 1

    @property
    def convolutions(self) -> int:
        """How many inverted convolutions it has."""
        return len(self.inverted_convolutions())

    def inverted_convolutions(self) -> list[InvertibleConv2d | InvertibleConv3d]:
        """The inverted convolutions of the trunk, in order."""
        return [
            module
            for module in self.trunk.modules()
            if isinstance(module, InvertibleConv2d | InvertibleConv3d)
        ]

    def _check(self, x: Tensor) -> None:
        if tuple(x.shape[1:]) != self.image_shape:
            raise ShapeError(
                "this model expects images of shape "
                f"(N, {', '.join(map(str, self.image_shape))}); got {tuple(x.shape)}"
            )


Settings = TypeVar("Settings", bound=ModelConfig)
Network = TypeVar("Network", bound=Calibrated)


@dataclass(frozen=True)
class Loss:
    """What training goes down, and its parts for the record; bits a pixel of a density."""

    total: Tensor
    cross_entropy: Tensor
    bits: Tensor | None = None


@dataclass(frozen=True)
class ScopeScore:
    """What tells images that a model may be asked from others, which score above the threshold."""

    statistic: str  # in words, for the card
    threshold: float
    score: Callable[[Tensor], Tensor]  # images (N, C, *size) -> (N,)


def _nothing(*_: Any) -> None:
    """For kinds that have nothing to start or to fit."""


class AfterStep:
    """What is done to a network after each step of the optimiser: here nothing."""

    def __call__(self, step: int, factor: float) -> None:
        """Called with the number of the step in its epoch and the schedule's factor."""

    def state_dict(self) -> dict[str, Any]:
        """What an interrupted run needs to go on as if it had not been."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """From a checkpoint."""


def _nothing_after(*_: Any) -> AfterStep:
    return AfterStep()


@dataclass(frozen=True)
class Kind(Generic[Settings, Network]):
    """A kind of model: its settings, and what it brings to training, calibration and its card.

    `build` draws an untrained network for images of a shape (C, *size) from torch's global
    generator. `start` sets what begins from data: training images (n, C, *size) uint8, labels (n,).
    `loss` is of a batch: images (N, C, *size) float, labels (N,), the recipe and the epoch from 0.
    `fit` sets, after training, what the kind needs beside calibration: from training images, their
    labels and validation images. `after_step` gives what is done after each step of the
    optimiser. `scope` is None where a kind has none. `invertible`: its networks are
    InvertibleNetworks and keep a reference.
    """

    config: type[Settings]
    build: Callable[[Settings, tuple[int, ...]], Network]
    loss: Callable[[Network, Tensor, Tensor, Any, int], Loss]
    start: Callable[[Network, np.ndarray, np.ndarray, Config], None] = _nothing
    fit: Callable[[Network, np.ndarray, np.ndarray, np.ndarray], None] = _nothing
    after_step: Callable[[Network, Any], AfterStep] = _nothing_after
    scope: Callable[[Network], ScopeScore] | None = None
    invertible: bool = False


def label_loss(
    network: Calibrated, images: Tensor, labels: Tensor, recipe: HeadTrain, epoch: int
) -> Loss:
    """The cross-entropy of the labels, smoothed as the recipe says."""
    del epoch  # the same in each
    logits = network.logits(images).float()
    cross_entropy = F.cross_entropy(logits, labels, label_smoothing=recipe.label_smoothing)
    return Loss(cross_entropy, cross_entropy)


@torch.no_grad()
def in_batches(
    function: Callable[[Tensor], Tensor], model: nn.Module, images: np.ndarray, *, batch: int = 16
) -> Tensor:
    """`function(x)` for stored images (N, C, *size) uint8, in the model's own arithmetic.

    Batches are moved to the model's device; what comes back is joined on the processor.
    """
    first = next(model.parameters())
    return torch.cat(
        [
            function(torch.tensor(images[i : i + batch]).to(first.device, first.dtype)).cpu()
            for i in range(0, len(images), batch)
        ]
    )
