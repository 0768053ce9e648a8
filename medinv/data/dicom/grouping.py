"""Images that belong together: by series, kind, size, spacing, orientation, echo, b-value,
acquisition, in the order of the body."""

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from medinv.data.dicom.codes import quoted
from medinv.data.dicom.geometry import Geometry, normal
from medinv.data.dicom.records import Instance

# Differences below these are rounding in the header, not another group.
_SAME_SPACING = 1e-3  # mm
_SAME_COSINE = 1e-3
_SAME_ECHO = 1e-2  # ms
_SAME_B_VALUE = 1.0  # s/mm2
_SAME_PLACE = 1e-3  # mm
_SAME_STACK = 1e-2  # of a cosine, between stacks of one object
_UPRIGHT = (
    0.8  # cosine between a normal and the body's axis from which a plane has that axis's name
)
_PLANES = ("sagittal", "coronal", "axial")  # by the axis (L, P, S) that the normal runs along


@dataclass(frozen=True)
class Group:
    """Images alike in all that selection looks at.

    `label`: place of the series in its study, then of the group in its series, such as 2.1.
    """

    label: str
    instances: tuple[Instance, ...]

    @property
    def first(self) -> Instance:
        """The image that stands for what all have in common."""
        return self.instances[0]

    @property
    def series(self) -> str:
        """Place of the series in its study."""
        return self.label.partition(".")[0]

    @property
    def slices(self) -> int:
        """Images, frames counted one by one."""
        return sum(instance.frames for instance in self.instances)

    @property
    def plane(self) -> str | None:
        """axial, coronal, sagittal or oblique; None where the header places no image, or frames
        face several ways."""
        planes = {
            _plane(geometry) for instance in self.instances for geometry in _geometries(instance)
        }
        return planes.pop() if len(planes) == 1 else None

    @property
    def stacks(self) -> int:
        """Stacks of slices that the header tells apart, by StackID or by orientation; 1 if by
        neither."""
        named = {stack for instance in self.instances for stack in instance.stacks}
        facing = {
            None
            if geometry.orientation is None
            else tuple(np.round(np.array(geometry.orientation) / _SAME_STACK).astype(int))
            for instance in self.instances
            for geometry in instance.frame_geometry
        }
        return max(len(named), len(facing), 1)

    @property
    def missing_parts(self) -> str | None:
        """What a concatenation lacks (PS3.3 C.7.6.16.1.3); None if it is whole, or the group is
        none."""
        if self.first.concatenation is None:
            return None
        numbers = sorted(one.part[0] or 0 for one in self.instances)
        totals = {one.part[1] for one in self.instances if one.part[1]}
        total = max(totals, default=len(numbers))
        if numbers == list(range(1, total + 1)) and len(totals) <= 1:
            return None
        return (
            f"{len(set(numbers))} of {total} parts of a concatenation: hand in all of them, "
            "each once"
        )

    @property
    def thickness(self) -> tuple[float, float] | None:
        """Of the thinnest and the thickest slice, mm; None if any does not state it."""
        values = {
            geometry.thickness for instance in self.instances for geometry in _geometries(instance)
        }
        stated = [value for value in values if value is not None]
        return (min(stated), max(stated)) if len(stated) == len(values) else None

    @property
    def repeated(self) -> int:
        """Images or frames that lie where another one lies."""
        depths = [
            geometry.depth for instance in self.instances for geometry in _geometries(instance)
        ]
        places = sorted(depth for depth in depths if depth is not None)
        return sum(after - before < _SAME_PLACE for before, after in pairwise(places))

    def __str__(self) -> str:
        """What it holds, in words that identify nobody."""
        image, thickness = self.first, self.thickness
        spacing = image.geometry.spacing
        parts = (
            (image.modality and quoted(image.modality))
            or ("NIfTI" if image.format == "nifti" else "modality not stated"),
            f"{image.rows} x {image.columns}",
            spacing and f"{spacing[0]:.3g} mm",
            image.view and quoted(image.view),
            self.plane,
            (self.slices > 1 and f"{self.slices} images") or "1 image",
            thickness
            and (
                f"{thickness[0]:g} mm thick"
                if thickness[0] == thickness[1]
                else f"{thickness[0]:g} to {thickness[1]:g} mm thick"
            ),
            image.echo is not None and f"echo {image.echo:g} ms",
            image.b_value is not None and f"b {image.b_value:g}",
        )
        return ", ".join(fact for fact in parts if fact)


def group(instances: Iterable[Instance]) -> tuple[Group, ...]:
    """Groups of one study, by series and InstanceNumber, each along its normal (or by
    InstanceNumber where it has none).

    Acquisitions, and image types that differ from the fourth value on, divide a series only where
    they show the same place twice: phases do, the steps of a sequential scan do not.
    """
    series: dict[str, dict[Hashable, list[Instance]]] = defaultdict(lambda: defaultdict(list))
    for instance in sorted(instances, key=_by_number):
        series[instance.series_uid or ""][_kind(instance)].append(instance)
    groups = []
    for number, (_, kinds) in enumerate(sorted(series.items()), 1):
        parts = sorted(
            (part for kind in kinds.values() for part in _divided(kind)),
            key=lambda part: _by_number(part[0]),
        )
        groups += [
            Group(f"{number}.{k}", tuple(_in_order(part))) for k, part in enumerate(parts, 1)
        ]
    return tuple(groups)


def _by_number(instance: Instance) -> tuple[float, str]:
    return float("inf") if instance.number is None else instance.number, instance.sop_uid


def differences(one: Group, other: Group) -> tuple[str, ...]:
    """Names of what tells two groups of a study apart, which identify nobody."""
    first, second = one.first, other.first
    pairs = zip(_KINDS, _kind(first), _kind(second), strict=True)
    names = [name for name, mine, theirs in pairs if mine != theirs]
    names += [
        name
        for name, value, tolerance in _MEASURES
        if not _near(value(first), value(second), tolerance)
    ]
    # of images with and without a place, nobody compares frames of reference
    if "position" in names and "frame of reference" in names:
        names.remove("frame of reference")
    return tuple(names) or tuple(name for name, label in _LABELS if label(first) != label(second))


def _near(one: tuple[float, ...] | None, other: tuple[float, ...] | None, tolerance: float) -> bool:
    if one is None or other is None:
        return one is other
    return bool((np.abs(np.subtract(one, other)) <= tolerance).all())


def _kind(image: Instance) -> tuple[Hashable, ...]:
    """What must be equal to the letter.

    `ImageType`: pixels, examination, flavour (PS3.3 C.7.6.1.1.2). Positions count within one frame
    of reference only. Parts of a concatenation are one image.
    """
    whole = image.concatenation or (image.sop_uid if image.frames > 1 else None)
    placed = image.geometry.position is not None
    return (
        image.format, image.sop_class, image.modality, image.body_part, image.view,
        image.laterality, image.image_type[:3], image.rows, image.columns, image.samples,
        image.photometric, whole, placed, image.frame_of_reference if placed else None,
        image.study_description, image.series_description,
    )  # fmt: skip


def _divided(images: list[Instance]) -> list[list[Instance]]:
    """Images of one kind, divided by the numbers of their headers."""
    if len(images) == 1:
        return [images]
    parts = [images]
    for _, value, tolerance in _MEASURES:
        parts = [part for whole in parts for part in _alike(whole, value, tolerance)]
    for _, label in _LABELS:
        parts = [part for whole in parts for part in _overlapping(whole, label)]
    return parts


def _number(value: float | None) -> tuple[float] | None:
    return None if value is None else (value,)


# What must be equal (of `_kind`, in its order), near, or may not overlap within a group, by name.
_KINDS = (
    "file format", "kind of object", "modality", "body part", "view", "laterality", "image type",
    "rows", "columns", "samples of a pixel", "photometric interpretation",
    "file of several frames", "position", "frame of reference", "study description",
    "series description",
)  # fmt: skip
_MEASURES: tuple[tuple[str, Callable[[Instance], tuple[float, ...] | None], float], ...] = (
    ("pixel spacing", lambda image: image.geometry.spacing, _SAME_SPACING),
    ("orientation", lambda image: image.geometry.orientation, _SAME_COSINE),
    ("echo time", lambda image: _number(image.echo), _SAME_ECHO),
    ("b-value", lambda image: _number(image.b_value), _SAME_B_VALUE),
)
_LABELS: tuple[tuple[str, Callable[[Instance], Hashable]], ...] = (
    ("image type", lambda image: image.image_type[3:]),
    ("acquisition", lambda image: image.acquisition),
)


def _alike(
    images: list[Instance], value: Callable[[Instance], tuple[float, ...] | None], tolerance: float
) -> list[list[Instance]]:
    """Divided so that values of a group differ from its smallest by no more than `tolerance`.

    Those without a value stand apart.
    """
    distinct: dict[tuple[float, ...], list[Instance]] = defaultdict(list)
    absent: list[Instance] = []
    for image in images:
        key = value(image)
        (absent if key is None else distinct[key]).append(image)
    parts: list[list[Instance]] = []
    centres = np.empty((len(distinct), len(next(iter(distinct), ()))))
    for key in sorted(distinct):
        near = np.flatnonzero((np.abs(centres[: len(parts)] - np.array(key)) <= tolerance).all(1))
        if near.size:
            parts[near[0]] += distinct[key]
        else:
            centres[len(parts)] = key
            parts.append(distinct[key])
    return [sorted(part, key=_by_number) for part in (*parts, absent) if part]


def _overlapping(
    images: list[Instance], label: Callable[[Instance], Hashable]
) -> list[list[Instance]]:
    """Divided by `label` if two labels overlap along the normal, else whole."""
    labelled = defaultdict(list)
    for image in images:
        labelled[label(image)].append(image)
    depths = [
        [one.geometry.depth for one in part if one.geometry.depth is not None]
        for part in labelled.values()
    ]
    if len(labelled) == 1 or sum(map(len, depths)) < len(images):
        return [images]
    spans = sorted((min(part), max(part)) for part in depths)
    apart = all(previous[1] + _SAME_PLACE < following[0] for previous, following in pairwise(spans))
    return [images] if apart else list(labelled.values())


def _in_order(images: Sequence[Instance]) -> list[Instance]:
    depths = {image.sop_uid: image.geometry.depth for image in images}
    if None in depths.values():
        return sorted(images, key=_by_number)
    return sorted(images, key=lambda image: (depths[image.sop_uid], *_by_number(image)))


def _geometries(image: Instance) -> tuple[Geometry, ...]:
    return image.frame_geometry or (image.geometry,)


def _plane(geometry: Geometry) -> str | None:
    if geometry.orientation is None:
        return None
    along = np.abs(normal(geometry.orientation))
    return _PLANES[int(along.argmax())] if along.max() >= _UPRIGHT else "oblique"
