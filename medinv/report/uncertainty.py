"""How sure a calibrated probability is, by what the model card measured."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from medinv.report.measured import Interval, measured


@dataclass(frozen=True)
class Observed:
    """Of the test images with a probability from `low` to below `high`, the share that was positive; its interval counts patients."""

    low: float
    high: float
    patients: int
    share: Interval

    def holds(self, probability: float) -> bool:
        return self.low <= probability < self.high or probability == self.high == 1


@dataclass(frozen=True)
class Uncertainty:
    """The 95 % interval of one image's probability, and what was observed of test images with a probability like it."""

    low: float  # calibrated probability
    high: float
    images: int  # that the calibration was fitted on
    patients: int
    observed: Observed | None  # None where no test image had such a probability

    def observed_covers(self, probability: float) -> bool | None:
        """Whether the observed share is compatible with the probability; None where none was observed."""
        share = self.observed.share if self.observed else None
        return (
            None
            if share is None
            else share.low <= probability <= share.high or self.low <= share.value <= self.high
        )


def uncertainty(calibration: Mapping[str, Any], probability: float) -> Uncertainty | None:
    """From a card's calibration; None where the card holds no interval.

    The bounds are kept as log-odds at given log-odds and interpolated between them; beyond the last they move on alike.
    """
    kept = calibration.get("interval")
    if not kept:
        return None
    certain = min(max(probability, 1e-12), 1 - 1e-12)
    odds = math.log(certain / (1 - certain))
    inside = min(max(odds, kept["log_odds"][0]), kept["log_odds"][-1])
    low, high = (
        _sigmoid(float(np.interp(inside, kept["log_odds"], kept[end])) + odds - inside)
        for end in ("low", "high")
    )
    return Uncertainty(
        min(low, probability),
        max(high, probability),
        kept["images"],
        kept["patients"],
        next((one for one in observed_shares(calibration) if one.holds(probability)), None),
    )


def observed_shares(calibration: Mapping[str, Any]) -> tuple[Observed, ...]:
    """All that a card tells of test images by their probability."""
    return tuple(
        Observed(one["low"], one["high"], one["patients"], measured(one["share"]))
        for one in calibration.get("observed") or ()
    )


def _sigmoid(odds: float) -> float:
    return 1 / (1 + math.exp(-odds))
