"""Leaving a study undecided where its set of classes is not the one called alone."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from medinv.analysis.result import StudyResult
from medinv.errors import ConfigError
from medinv.models.card import Card
from medinv.models.conformal import Conformal

SEVERAL = (
    "abstention: its bound is on single images; this study has several, of which some decide for it"
)


@dataclass(frozen=True)
class Abstention:
    """Sets of classes that leave out the true one in at most a share `error` of images.

    At most that share of the images of each class, exchangeable with those that the model was
    calibrated on, is thus decided wrongly; images of another kind or quality are not covered.
    """

    conformal: Conformal
    error: float

    @classmethod
    def of(cls, card: Card, error: float) -> Self:
        """By the thresholds of a card. Raises ConfigError where it has none for this error."""
        if card.conformal is None:
            raise ConfigError(
                f"{card.name} has no thresholds to abstain by: it was published before they were "
                "kept; `medinv train` with its configuration and folder publishes it anew"
            )
        card.conformal.at(error)
        return cls(card.conformal, error)

    def plausible(self, probabilities: Mapping[str, float]) -> tuple[str, ...]:
        """The set, in the model's order of classes; it may be empty."""
        return self.conformal.plausible(probabilities, self.error)

    def said(self, result: StudyResult) -> StudyResult:
        """The result with warnings: that it is undecided, and where the bound does not hold."""
        warnings = []
        if result.undecided:
            among = " or ".join(result.plausible or ()) or "no class"
            warnings.append(
                f"undecided: {among} at an error of {self.error:.0%}; its label stands for "
                "completeness alone"
            )
        if result.plausible is not None and len(result.instances) > 1:
            warnings.append(SEVERAL)
        return result.warned(*warnings)
