"""How a projection lies: which way its rows and columns run, and the turn that brings it to how
films are read.

PatientOrientation (PS3.3 C.7.6.1.1.1) names the direction of the rows, then of the columns: `L\\F`
is a frontal film as it is read, the patient's left at the right edge and the feet at the bottom.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from medinv.data.dicom.geometry import Geometry
from medinv.data.dicom.records import Instance

Plane = Literal["frontal", "lateral", "transverse"]

READ = ("L", "F")
_OPPOSITE = {"L": "R", "R": "L", "F": "H", "H": "F", "A": "P", "P": "A"}
_MOST_LETTERS = 3  # of one direction
_AXES = {"L": "x", "R": "x", "A": "y", "P": "y", "H": "z", "F": "z"}
_PLANES: dict[frozenset[str], Plane] = {
    frozenset("xz"): "frontal", frozenset("yz"): "lateral", frozenset("xy"): "transverse",
}  # fmt: skip
_PROJECTIONS = frozenset(
    {"CR", "DX", "DR", "RF", "RG"}
)  # modalities whose frontal films are turned
_CLASSES = frozenset({
    "1.2.840.10008.5.1.4.1.1.1", "1.2.840.10008.5.1.4.1.1.1.1", "1.2.840.10008.5.1.4.1.1.12.2",
})  # fmt: skip


@dataclass(frozen=True)
class Turn:
    """From pixels as stored to pixels as shown: rows and columns exchanged first, then either
    reversed.

    >>> Turn(flip_rows=True).apply(np.array([[1, 2], [3, 4]])).tolist()
    [[3, 4], [1, 2]]
    """

    transpose: bool = False
    flip_rows: bool = False  # upside down
    flip_columns: bool = False  # left and right exchanged

    def __bool__(self) -> bool:
        return self.transpose or self.flip_rows or self.flip_columns

    @property
    def mirrors(self) -> bool:
        """Whether writing is shown in mirror image: an odd number of reflections."""
        return (self.transpose + self.flip_rows + self.flip_columns) % 2 == 1

    def apply(self, stored: np.ndarray) -> np.ndarray:
        """An array (rows, columns, ...) in the geometry of the stored pixels, as it is shown; a
        view."""
        shown = np.swapaxes(stored, 0, 1) if self.transpose else stored
        return shown[:: -1 if self.flip_rows else 1, :: -1 if self.flip_columns else 1]

    def undo(self, shown: np.ndarray) -> np.ndarray:
        """An array (rows, columns, ...) in the geometry of the display (a map of evidence, a
        mask), in that of the stored pixels, to which DICOM results refer; a view."""
        flipped = shown[:: -1 if self.flip_rows else 1, :: -1 if self.flip_columns else 1]
        return np.swapaxes(flipped, 0, 1) if self.transpose else flipped

    def points_undo(self, points: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
        """Points (n, 2), (row, column) from 0 on a display of `shape`, in the geometry of the
        stored pixels."""
        row, column = np.asarray(points, float).T
        row = shape[0] - 1 - row if self.flip_rows else row
        column = shape[1] - 1 - column if self.flip_columns else column
        return np.stack([column, row] if self.transpose else [row, column], axis=1)

    def letters(self, orientation: Sequence[str]) -> tuple[str, ...]:
        """PatientOrientation of what is shown, of that of what is stored."""
        if len(orientation) != 2:
            return tuple(orientation)
        row, column = reversed(orientation) if self.transpose else orientation
        return (
            opposite(row) if self.flip_columns else row,
            opposite(column) if self.flip_rows else column,
        )

    def geometry(self, stored: Geometry, rows: int, columns: int) -> Geometry:
        """Of what is shown, of that of an image stored in so many rows and columns."""
        if not self:
            return stored
        spacing, aspect = stored.spacing, stored.aspect
        position, orientation = stored.position, stored.orientation
        if position is not None and orientation is not None and spacing is not None:
            corner = np.array([columns - 1, rows - 1]) * [spacing[1], spacing[0]]
            along, down = np.array(orientation[:3]), np.array(orientation[3:])
            last_row, last_column = (
                (self.flip_columns, self.flip_rows)
                if self.transpose
                else (self.flip_rows, self.flip_columns)
            )
            place = (
                np.array(position) + last_column * corner[0] * along + last_row * corner[1] * down
            )
            position = tuple(place.tolist())
        if orientation is not None:
            along, down = np.array(orientation[:3]), np.array(orientation[3:])
            along, down = (down, along) if self.transpose else (along, down)
            along, down = along * (1 - 2 * self.flip_columns), down * (1 - 2 * self.flip_rows)
            orientation = (*along.tolist(), *down.tolist())
        if self.transpose:
            spacing, aspect = spacing and (spacing[1], spacing[0]), 1 / aspect
        return replace(
            stored, spacing=spacing, aspect=aspect, position=position, orientation=orientation
        )

    def __str__(self) -> str:
        """In words.

        >>> str(Turn(flip_rows=True)), str(Turn(flip_rows=True, flip_columns=True))
        ('turned upside down and mirrored', 'turned by 180 degrees')
        """
        return _WORDS[self.transpose, self.flip_rows, self.flip_columns]


STORED = Turn()  # shown as it is stored
_WORDS = {
    (False, False, False): "not turned",
    (False, False, True): "mirrored",
    (False, True, False): "turned upside down and mirrored",
    (False, True, True): "turned by 180 degrees",
    (True, False, True): "turned by 90 degrees clockwise",
    (True, True, False): "turned by 90 degrees counter-clockwise",
    (True, False, False): "turned by 90 degrees clockwise and mirrored",
    (True, True, True): "turned by 90 degrees counter-clockwise and mirrored",
}


@dataclass(frozen=True)
class Hanging:
    """How an image lies, and how it is shown."""

    stored: tuple[
        str, ...
    ] = ()  # letters of rows and columns; empty where nothing usable is stated
    turn: Turn = STORED
    says: str | None = None  # for the record of what was done
    warnings: tuple[str, ...] = ()

    @property
    def shown(self) -> tuple[str, ...]:
        """Letters of the image after its turn."""
        return self.turn.letters(self.stored)


def opposite(letters: str) -> str:
    """The directions against those of some letters."""
    return "".join(_OPPOSITE.get(letter, letter) for letter in letters)


def is_projection(instance: Instance) -> bool:
    """A radiograph, and no slice."""
    if instance.modality is None:
        return instance.sop_class in _CLASSES
    return instance.modality in _PROJECTIONS


def plane(letters: Sequence[str]) -> Plane | None:
    """Of the first letters of rows and columns; None where they name no plane."""
    if len(letters) != 2 or not all(letters):
        return None
    return _PLANES.get(frozenset(_AXES.get(letter[0], "?") for letter in letters))


def hanging(instance: Instance) -> Hanging:
    """A frontal projection is turned and mirrored to `L\\F`; every other image is shown as it is
    stored."""
    if not is_projection(instance):
        return Hanging(_usable(instance.patient_orientation))
    stated = _usable(instance.patient_orientation)
    by_cosines = _letters(instance.geometry.orientation)
    if not stated and not by_cosines:
        absent = not any(instance.patient_orientation)
        said = "orientation not stated" if absent else "PatientOrientation cannot be understood"
        return Hanging(
            (), STORED, f"{said}: shown as stored", () if absent else (f"{said}: shown as stored",)
        )
    if (
        stated
        and by_cosines
        and (plane(stated), *_first(stated)) != (plane(by_cosines), *_first(by_cosines))
    ):
        warning = (
            "PatientOrientation and ImageOrientationPatient contradict each other: shown as stored"
        )
        return Hanging((), STORED, warning, (warning,))
    letters = stated or by_cosines
    if plane(letters) != "frontal":
        return Hanging(
            letters, STORED, f"orientation {_written(letters)}, {plane(letters)}: shown as stored"
        )
    return _frontal(letters)


def _frontal(letters: tuple[str, ...]) -> Hanging:
    row, column = _first(letters)
    transpose = _AXES[row] == "z"
    if transpose:
        row, column = column, row
    turn = Turn(transpose, flip_rows=column == "H", flip_columns=row == "R")
    if not turn:
        return Hanging(letters, turn)
    says = f"orientation {_written(letters)} by the header: {turn} to {_written(READ)}"
    marks = "; letters and marks in the picture are turned with it"
    if turn.mirrors:
        marks = (
            "; letters and marks in the picture are mirrored with it: trust no burned-in side mark"
        )
    return Hanging(letters, turn, says, (says + marks,))


def _usable(orientation: Sequence[str]) -> tuple[str, ...]:
    letters = tuple(value.upper() for value in orientation)
    directions = all(
        len(value) <= _MOST_LETTERS and set(value) <= _AXES.keys() for value in letters
    )
    return letters if directions and plane(letters) else ()


def _first(letters: Sequence[str]) -> tuple[str, str]:
    return letters[0][0], letters[1][0]


def _letters(cosines: tuple[float, ...] | None) -> tuple[str, ...]:
    """The nearest axes of ImageOrientationPatient, whose axes run to L, P and H."""
    if cosines is None:
        return ()
    letters = []
    for direction in (np.array(cosines[:3]), np.array(cosines[3:])):
        axis = int(np.abs(direction).argmax())
        letters.append("LPH"[axis] if direction[axis] > 0 else "RAF"[axis])
    return tuple(letters) if plane(letters) else ()


def _written(letters: Sequence[str]) -> str:
    return "\\".join(letters)
