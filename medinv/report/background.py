"""What stands behind an explanation: the decoded depths, similar cases and controls, condensed for a reader."""

import math
from dataclasses import dataclass
from itertools import groupby

from medinv.explanation.result import Controls, Depth, Neighbours, Trace


@dataclass(frozen=True)
class Level:
    """The layers of one level of the trunk, taken together."""

    name: str
    layers: int
    goes_on: int  # numbers
    max_abs_error: float  # grey levels, the largest of the level's depths
    condition_number: float  # the largest of the level's layers


@dataclass(frozen=True)
class Background:
    """Each part is shown where it is given, and said to be missing where it is not."""

    trace: Trace | None = None
    nearest: Neighbours | None = None
    controls: Controls | None = None

    @property
    def levels(self) -> tuple[Level, ...]:
        """The trace's depths by level, in order; the depths' names begin with their level."""
        found = [
            (name, list(depths))
            for name, depths in groupby(
                self.trace.depths if self.trace else (), key=lambda depth: depth.name.split(", ")[0]
            )
        ]
        return tuple(
            Level(
                name,
                len(depths),
                math.prod(depths[-1].shape),
                max(d.max_abs_error for d in depths),
                max(d.condition_number for d in depths),
            )
            for name, depths in found
        )

    @property
    def worst(self) -> Depth | None:
        """The layer of the largest condition number."""
        return (
            max(self.trace.depths, key=lambda depth: depth.condition_number) if self.trace else None
        )

    @property
    def flipping(self) -> tuple[str, ...]:
        """Names of the controls that change the answer too."""
        return (
            tuple(control.name for control in self.controls.changes if control.flipped)
            if self.controls
            else ()
        )
