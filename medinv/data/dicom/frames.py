"""What the header says of single frames: functional groups of Enhanced objects (PS3.3 C.7.6.16),
offsets of a dose grid."""

import dataclasses

import numpy as np
from pydicom.dataset import Dataset

from medinv.data.dicom.fields import Fields
from medinv.data.dicom.geometry import Geometry, read_geometry
from medinv.errors import HeaderError

# Sequences of a functional group whose elements stand for those of the same name in a single-frame
# header.
_MACROS = (
    "PixelMeasuresSequence",
    "PlanePositionSequence",
    "PlaneOrientationSequence",
    "PixelValueTransformationSequence",
    "FrameVOILUTSequence",
    "FrameDisplayShutterSequence",
)


class FrameHeaders:
    """A header as each of its frames sees it: its own group first, then the shared one, then the
    header itself."""

    def __init__(self, fields: Fields):
        self._fields = fields
        self._shared = fields.sequence("SharedFunctionalGroupsSequence")[:1]
        self._groups = fields.sequence("PerFrameFunctionalGroupsSequence")

    def __len__(self) -> int:
        """Frames that have a group of their own."""
        return len(self._groups)

    def __getitem__(self, frame: int) -> Fields:
        """The header of a frame.

        What cannot be used leaves its warning in the fields that were given.
        """
        groups = self._shared + self._groups[frame : frame + 1]
        if not groups:
            return self._fields
        merged = Dataset()
        for source in (
            self._fields.dataset,
            *(item for group in groups for item in self._macros(group)),
        ):
            merged.update(dict(source.items()))  # raw elements stay raw
        fields = Fields(merged)
        fields.warnings = self._fields.warnings
        return fields

    def stacks(self) -> tuple[str, ...]:
        """StackID of each frame that states one."""
        contents = [
            Fields(item)
            for group in self._groups
            for item in Fields(group).sequence("FrameContentSequence")[:1]
        ]
        return tuple(
            content.text("StackID") or "" for content in contents if content.has("StackID")
        )

    def _macros(self, group: Dataset) -> list[Dataset]:
        fields = Fields(group)
        fields.warnings = self._fields.warnings
        return [item for keyword in _MACROS for item in fields.sequence(keyword)[:1]]


def geometries(fields: Fields, frames: int, source: str) -> tuple[Geometry, tuple[Geometry, ...]]:
    """Where the first frame lies, and where each lies; the latter empty if the header does not
    place single frames.

    Raises HeaderError if functional groups describe another number of frames than is announced.
    """
    headers = FrameHeaders(fields)
    if len(headers) not in (0, frames):
        raise HeaderError(
            f"{frames} frames are announced, {len(headers)} are described by functional groups",
            path=source,
        )
    each = tuple(read_geometry(headers[frame]) for frame in range(len(headers)))
    first = each[0] if each else read_geometry(headers[0])
    return first, each or _grid(first, fields.numbers("GridFrameOffsetVector"), frames)


def stacks(fields: Fields) -> tuple[str, ...]:
    """StackID of every frame of an Enhanced image; empty where not every frame states one."""
    headers = FrameHeaders(fields)
    ids = headers.stacks() if len(headers) else ()
    return ids if len(ids) == len(headers) else ()


def _grid(first: Geometry, offsets: tuple[float, ...] | None, frames: int) -> tuple[Geometry, ...]:
    """Frames along the normal of the first (PS3.3 C.8.8.3.2)."""
    if (
        offsets is None
        or len(offsets) != frames
        or first.position is None
        or first.orientation is None
    ):
        return ()
    normal = np.cross(first.orientation[:3], first.orientation[3:])
    places = [
        tuple((np.array(first.position) + (offset - offsets[0]) * normal).tolist())
        for offset in offsets
    ]
    return tuple(dataclasses.replace(first, position=place) for place in places)
