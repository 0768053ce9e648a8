"""What an index holds: every file handed in is exactly one Instance, Skipped or Broken."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from medinv.data.dicom.geometry import Geometry
from medinv.data.dicom.location import Location
from medinv.data.dicom.patient import Patient
from medinv.errors import MedinvError


@dataclass(frozen=True, kw_only=True, slots=True)
class Instance:
    """An image that the network can be shown, known from its header.

    No patient identifiers are kept in a form that could be read.
    """

    source: str
    location: Location
    study_uid: str | None
    series_uid: str | None
    sop_uid: str
    sop_class: str | None
    modality: str | None
    body_part: str | None
    view: str | None
    laterality: str | None
    patient_orientation: tuple[str, ...]  # where rows and columns run to, such as ("L", "F")
    image_type: tuple[str, ...]
    photometric: str
    rows: int
    columns: int
    frames: int
    samples: int = 1  # of a pixel: 3 for colour
    planar: int = 0  # PlanarConfiguration: 0 colour by pixel, 1 by plane
    bits_allocated: int
    bits_stored: int
    high_bit: int
    signed: bool
    transfer_syntax: str
    lossy: bool
    number: int | None  # InstanceNumber
    acquisition: int | None
    echo: float | None  # EchoTime, ms
    b_value: float | None  # s/mm2
    geometry: Geometry = field(default_factory=Geometry)  # of the first frame
    # of every frame, where the header places each; else empty
    frame_geometry: tuple[Geometry, ...] = ()
    # YES: the pixels name the patient, NO: they do not, None: not stated
    burned_in_annotation: str | None = None
    stacks: tuple[str, ...] = ()  # StackID of every frame, where the header states it
    frame_of_reference: str | None = None  # UID
    concatenation: str | None = None  # UID of the object that this is a part of
    part: tuple[int | None, int | None] = (None, None)  # its number from 1, and how many there are
    windowed: bool = False  # the header states a window
    age: float | None = field(default=None, repr=False)  # of the patient, years: for rules alone
    # Frames of its series, whose range together an image is shown by where nothing says how.
    shown_by: tuple[tuple["Instance", int], ...] = field(default=(), repr=False)
    warnings: tuple[str, ...] = ()
    format: Literal["dicom", "nifti", "picture"] = "dicom"
    manufacturer: str | None = None  # of the device
    patient: Patient = field(default_factory=Patient, repr=False)
    # these two may identify the patient: for rules alone, never to be shown
    series_description: str | None = field(default=None, repr=False)
    study_description: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Skipped:
    """A file that is in order but not for the network."""

    source: str
    study_uid: str | None
    sop_uid: str | None
    code: str  # stable, for machines
    message: str


@dataclass(frozen=True)
class Broken:
    """A file that cannot be used, with the typed error that says why."""

    source: str
    study_uid: str | None
    error: MedinvError

    def __post_init__(self) -> None:
        """Let go of what was in the hands of those who raised: a bomb's bytes, a file's content."""
        error: BaseException | None = self.error
        while error is not None:
            error.__traceback__ = None
            error = error.__cause__ or error.__context__


@dataclass(frozen=True)
class Study:
    """The files of one study, in reading order, all of one patient.

    `uid` is None for a file that names no study: each has a Study of its own.
    """

    uid: str | None
    instances: tuple[Instance, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    broken: tuple[Broken, ...] = ()
    warnings: tuple[str, ...] = ()  # of the study as a whole; they identify nobody


@dataclass(frozen=True)
class Index:
    """All files handed in."""

    studies: tuple[Study, ...]

    @property
    def instances(self) -> Iterator[Instance]:
        """Of all studies."""
        return (instance for study in self.studies for instance in study.instances)

    @property
    def skipped(self) -> Iterator[Skipped]:
        """Of all studies."""
        return (skipped for study in self.studies for skipped in study.skipped)

    @property
    def broken(self) -> Iterator[Broken]:
        """Of all studies."""
        return (broken for study in self.studies for broken in study.broken)

    def counts(self) -> dict[str, int]:
        """`files` is the sum of the other three."""
        kinds = {
            name: sum(1 for _ in getattr(self, name)) for name in ("instances", "skipped", "broken")
        }
        return {"files": sum(kinds.values()), **kinds}
