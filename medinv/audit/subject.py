"""The model that is audited, as the measures ask it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from medinv.audit.sample import widened
from medinv.explanation.ground import grounds_of
from medinv.explanation.local import cycle_spun_terms
from medinv.models.base import Calibrated, InvertibleNetwork, ScopeScore, in_batches
from medinv.models.build import kind_of

AT_ONCE = 8  # images whose evidence is mapped together
TILES = 8  # a side, of evidence by occlusion
LOCAL, OCCLUSION = "local evidence", "occlusion of tiles by the mean training image"


@dataclass(frozen=True)
class Answers:
    """What a model says of N images.

    scores: of two classes the calibrated log-odds of the second less those from which it is called,
    (N,); of more the logarithms of the calibrated probabilities, (N, K). called (N,): the class
    called; probabilities (N, K): calibrated; flagged (N,): out of scope, so that no label is given.
    A model without a scope flags none.
    """

    scores: np.ndarray
    called: np.ndarray
    probabilities: np.ndarray
    flagged: np.ndarray


@dataclass(frozen=True)
class Subject:
    """A model, its scope, and the mean states that its local evidence is told against."""

    model: Calibrated
    scope: ScopeScore | None = None
    states: Mapping[str, Tensor] = field(default_factory=dict)

    @classmethod
    def of(cls, model: Calibrated) -> "Subject":
        """A model as `medinv.load` gives it."""
        scope = kind_of(model.card.config.model).scope
        states = model.reference.states if model.reference else {}
        return cls(model, scope(model) if scope else None, states)

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes."""
        return self.model.classes

    @property
    def has_scope(self) -> bool:
        """Whether it gives some images no label."""
        return self.scope is not None or self.model.layout is not None

    @property
    def unit(self) -> float:
        """How many of the model's own grey levels are one of 0..255, as images are handed in."""
        return (2**self.model.bits - 1) / 255

    @property
    def two(self) -> bool:
        """Two classes, of which the second is the positive one."""
        return len(self.classes) == 2

    @property
    def evidence_by(self) -> str:
        """How evidence is mapped."""
        local = self.states and self.two and isinstance(self.model, InvertibleNetwork)
        return LOCAL if local else OCCLUSION

    def answers(self, images: Tensor) -> Answers:
        """Of images (N, C, *size) from 0 to 255, in whole levels of the model's own."""
        images = (images * self.unit).round()
        both = in_batches(self._read, self.model, images.numpy())
        logits, distance = both[:, :-1], both[:, -1]
        logs = logits.log_softmax(1)
        if self.two:
            scores = logits[:, 1] - logits[:, 0] - self.model.decision_logit.cpu()
            called = (scores >= 0).long()
        else:
            scores, called = logs, logs.argmax(1)
        flagged = distance > (self.scope.threshold if self.scope else torch.inf)
        flagged |= torch.tensor(
            [bool(one.objections) for one in self.model.look_at(images, called)]
        )
        return Answers(*(part.numpy() for part in (scores, called, logs.exp(), flagged)))

    def _read(self, x: Tensor) -> Tensor:
        """Calibrated logits and the scope's score, (N, K + 1), in one pass where that is enough."""
        if isinstance(self.model, InvertibleNetwork):
            reading = self.model.read(x)
            logits, scope = reading.logits, reading.scope
            distance = torch.zeros(len(x)).to(x) if scope is None else scope
        else:
            logits = self.model.logits(x)
            distance = self.scope.score(x) if self.scope else torch.zeros(len(x)).to(x)
        return torch.cat([self.model.calibrated(logits), distance[:, None]], 1)

    def maps(self, images: Tensor, classes: np.ndarray, ground: Tensor) -> np.ndarray:
        """Evidence for a class each, classes (N,): maps (N, *size); images as `answers` has."""
        images, ground = images * self.unit, ground * self.unit
        if self.evidence_by == LOCAL and isinstance(self.model, InvertibleNetwork):
            parts = [
                cycle_spun_terms(
                    self.model, some, self.states, grounds=grounds_of(self.model, some)
                ).maps
                for some in images.to(self.model.class_weights).split(AT_ONCE)
            ]
            sign = torch.from_numpy(2.0 * classes - 1).view(-1, *[1] * (images.ndim - 2))
            return (sign * torch.cat(parts).cpu()).numpy()
        return np.stack(
            [
                self._occluded(image, int(k), ground)
                for image, k in zip(images, classes, strict=True)
            ]
        )

    def _occluded(self, image: Tensor, class_: int, ground: Tensor) -> np.ndarray:
        """By tile of an image (C, *size) how far the class falls behind when the ground hides it.

        Falls are differences of the class's calibrated logit and the next best one's.
        """
        tiles = _tiles(image.shape[1:])
        soft = widened(tiles)
        shown = torch.cat([image[None], image * (1 - soft) + ground * soft]).round()
        logits = in_batches(
            lambda x: self.model.calibrated(self.model.logits(x)), self.model, shown.numpy()
        )
        others = logits.clone()
        others[:, class_] = -torch.inf
        lead = logits[:, class_] - others.max(1).values
        falls = (lead[0] - lead[1:]).view(-1, *[1] * (tiles.ndim - 1))
        return (falls * tiles).sum(0)[0].numpy()


def _tiles(size: torch.Size) -> Tensor:
    """TILES x TILES tiles of the last two axes, (TILES^2, 1, *size) of 0 or 1."""
    rows, columns = (torch.arange(side) * TILES // side for side in size[-2:])
    which = rows[:, None] * TILES + columns
    tiles = torch.nn.functional.one_hot(which, TILES**2).permute(2, 0, 1).float()
    return tiles.view(TILES**2, 1, *[1] * (len(size) - 2), *size[-2:]).expand(-1, 1, *size)
