"""From the slices of one group to a volume: their order along the normal, one affine that holds
for every slice, and what stands against it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Literal

import numpy as np

from medinv.data.dicom.geometry import Geometry, affine
from medinv.data.dicom.pixels import read_frames
from medinv.data.dicom.records import Instance
from medinv.errors import DataError

Rule = Literal["refuse", "longest-run"]
# Differences below these are rounding in the header (DS holds 16 characters, many writers fewer).
_SAME_COSINE = 1e-3
_SAME_SPACING = 1e-3  # mm
_SAME_PLACE = 1e-2  # mm
_EVEN = 0.02  # of the distance between slices
_UPRIGHT = 0.1  # degrees of gantry tilt that are none


@dataclass(frozen=True)
class Slice:
    """One frame and where it lies."""

    instance: Instance
    frame: int
    geometry: Geometry

    @property
    def depth(self) -> float:
        """Along the normal, mm; not a number for a slice without a place."""
        depth = self.geometry.depth
        return float("nan") if depth is None else depth


@dataclass(frozen=True)
class Finding:
    """Something that a plain stack of slices does not have.

    `handled` says what was done about it; None: the volume is refused for it.
    """

    code: str  # stable, for machines
    message: str
    handled: str | None = None


@dataclass(frozen=True)
class Stack:
    """Slices in order along the normal, and the affine (4, 4) from (row, column, slice) to
    millimetres in R A S axes; None if refused."""

    slices: tuple[Slice, ...]
    affine: np.ndarray | None
    error: float  # largest distance between a slice's position in the header and by the affine, mm
    findings: tuple[Finding, ...]

    @property
    def refused(self) -> tuple[Finding, ...]:
        """What the volume is refused for."""
        return tuple(finding for finding in self.findings if finding.handled is None)


def stack(instances: Sequence[Instance], rule: Rule = "refuse") -> Stack:
    """Describe the slices of a group, from their headers.

    Refused whatever the rule: slices without a place, of several sizes, orientations or pixel
    spacings, or that wander within their plane. Slices missing, spacings mixed and places taken
    twice are refused too, or, by the rule longest-run, answered by the longest run of evenly
    spaced slices and the first image at each place. Gantry tilt is no fault: the affine is sheared
    by it.
    """
    slices = [one for instance in instances for one in _slices_of(instance)]
    findings = _unlike(slices)
    if findings:
        return Stack(tuple(slices), None, float("nan"), tuple(findings))
    slices.sort(
        key=lambda one: (
            one.depth,
            one.instance.number or 0,
            one.instance.sop_uid,
            one.frame,
        )
    )
    slices, findings = _without_repeats(slices, rule)
    if not findings or findings[0].handled:
        slices, uneven = _even(slices, rule)
        findings += uneven
    if any(finding.handled is None for finding in findings):
        return Stack(tuple(slices), None, float("nan"), tuple(findings))
    matrix, error, tilt = _placed(slices)
    if tilt > _UPRIGHT:
        findings.append(
            Finding(
                "tilt",
                f"slices are shifted along their plane by {tilt:.1f} degrees (gantry tilt)",
                "the affine is sheared",
            )
        )
    if error > max(_SAME_PLACE, _EVEN * float(np.linalg.norm(matrix[:3, 2]))):
        findings.append(
            Finding(
                "wandering",
                f"positions lie up to {error:.2g} mm beside a straight line: no affine holds for "
                "all slices",
            )
        )
        return Stack(tuple(slices), None, error, tuple(findings))
    return Stack(tuple(slices), matrix, error, tuple(findings))


def read_stack(stack: Stack) -> np.ndarray:
    """Modality values (rows, columns, slices) float32 of a stack.

    Raises DataError if it was refused, and what `read_pixels` raises.
    """
    if stack.affine is None:
        reasons = "; ".join(f"{finding.code}: {finding.message}" for finding in stack.refused)
        raise DataError(f"these slices make no volume: {reasons}", stage="volume")
    first = stack.slices[0].instance
    values = np.empty((len(stack.slices), first.rows, first.columns), np.float32)
    places = {(one.instance.source, one.frame): k for k, one in enumerate(stack.slices)}
    for instance in {one.instance.source: one.instance for one in stack.slices}.values():
        for pixels in read_frames(instance):
            if (instance.source, pixels.frame) in places:
                values[places[instance.source, pixels.frame]] = pixels.modality
    return np.moveaxis(values, 0, 2)


def _slices_of(instance: Instance) -> list[Slice]:
    """Frames of an image that does not place each have no place, unless there is one only."""
    if instance.frame_geometry:
        return [
            Slice(instance, frame, geometry)
            for frame, geometry in enumerate(instance.frame_geometry)
        ]
    if instance.frames == 1:
        return [Slice(instance, 0, instance.geometry)]
    return [Slice(instance, frame, Geometry()) for frame in range(instance.frames)]


def _unlike(slices: Sequence[Slice]) -> list[Finding]:
    """What keeps slices from being stacked at all."""
    if not slices:
        return [Finding("empty", "no slices")]
    unplaced = sum(one.geometry.depth is None or one.geometry.spacing is None for one in slices)
    if unplaced:
        return [
            Finding(
                "unplaced",
                f"{unplaced} of {len(slices)} slices state no position, orientation or spacing",
            )
        ]
    references = {one.instance.frame_of_reference for one in slices}
    if len(references) > 1:
        message = f"positions in {len(references)} frames of reference cannot be compared"
        return [Finding("mixed-frame-of-reference", message)]
    stacks = {one.instance.stacks[one.frame] for one in slices if one.instance.stacks}
    if len(stacks) > 1:
        return [Finding("several-stacks", f"{len(stacks)} stacks of slices in one object")]
    sizes = {(one.instance.rows, one.instance.columns, one.instance.samples) for one in slices}
    findings = [Finding("mixed-size", f"{len(sizes)} sizes of slices")] if len(sizes) > 1 else []
    if _spread(one.geometry.orientation for one in slices) > _SAME_COSINE:
        findings.append(Finding("mixed-orientation", "slices face several ways"))
    if _spread(one.geometry.spacing for one in slices) > _SAME_SPACING:
        findings.append(Finding("mixed-pixel-spacing", "slices have several pixel spacings"))
    return findings


def _spread(rows: Iterable[tuple[float, ...] | None]) -> float:
    return float(np.ptp(np.array(list(rows)), axis=0).max())


def _without_repeats(slices: list[Slice], rule: Rule) -> tuple[list[Slice], list[Finding]]:
    """The first of slices that share a place (same depth; InstanceNumber decides)."""
    kept = slices[:1]
    for one in slices[1:]:
        if one.depth - kept[-1].depth > _SAME_PLACE:
            kept.append(one)
    repeated = len(slices) - len(kept)
    if not repeated:
        return slices, []
    message = f"{repeated} of {len(slices)} slices lie where another lies"
    if rule == "refuse":
        return slices, [Finding("duplicate-positions", message)]
    return kept, [Finding("duplicate-positions", message, "the first at each place is taken")]


def _even(slices: list[Slice], rule: Rule) -> tuple[list[Slice], list[Finding]]:
    """The slices if they are evenly spaced; else the finding, and by the rule longest-run the
    longest run that is."""
    steps = np.diff([one.depth for one in slices])
    if not len(steps) or np.ptp(steps) <= max(_SAME_PLACE, _EVEN * steps.min()):
        return slices, []
    multiples = steps / steps.min()
    if np.abs(multiples - np.rint(multiples)).max() <= _EVEN:
        missing = int(np.rint(multiples).sum()) - len(steps)
        code, message = (
            "missing-slices",
            f"{missing} slices are missing at a spacing of {steps.min():.4g} mm",
        )
    else:
        code, message = (
            "mixed-spacing",
            f"slices lie {steps.min():.4g} to {steps.max():.4g} mm apart",
        )
    if rule == "refuse":
        return slices, [Finding(code, message)]
    first, count = _longest_run(steps)
    handled = (
        f"the longest even run is taken: {count + 1} of {len(slices)} slices, {steps[first]:.4g} "
        "mm apart"
    )
    return slices[first : first + count + 1], [Finding(code, message, handled)]


def _longest_run(steps: np.ndarray) -> tuple[int, int]:
    """First step and number of steps of the longest run of equal ones; the first of several."""
    kinds = np.cumsum([0, *(np.abs(np.diff(steps)) > np.maximum(_SAME_PLACE, _EVEN * steps[:-1]))])
    runs, start = [], 0
    for _, members in groupby(kinds):
        count = len(list(members))
        runs.append((start, count))
        start += count
    return max(runs, key=lambda run: run[1])


def _placed(slices: Sequence[Slice]) -> tuple[np.ndarray, float, float]:
    """The affine through all positions (least squares), the largest distance from it in mm, and
    the tilt in degrees."""
    matrix = affine(slices[0].geometry)
    if len(slices) == 1:
        return matrix, 0.0, 0.0
    positions = np.array([one.geometry.position for one in slices]) * [-1, -1, 1]
    index = np.arange(len(slices))
    slope, start = np.polyfit(index, positions, 1)
    matrix[:3, 2], matrix[:3, 3] = slope, start
    error = float(np.linalg.norm(positions - (start + np.outer(index, slope)), axis=1).max())
    normal = np.cross(matrix[:3, 1], matrix[:3, 0])
    cosine = abs(normal @ slope) / (np.linalg.norm(normal) * np.linalg.norm(slope))
    return matrix, error, float(np.degrees(np.arccos(min(1.0, cosine))))
