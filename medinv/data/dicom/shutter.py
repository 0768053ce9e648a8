"""Display shutters (PS3.3 C.7.6.11): what lies outside is not for the reader, and is blanked."""

import numpy as np

from medinv.data.dicom.fields import Fields

_EDGES = (
    "ShutterLeftVerticalEdge",
    "ShutterRightVerticalEdge",
    "ShutterUpperHorizontalEdge",
    "ShutterLowerHorizontalEdge",
)


def closed(fields: Fields, shape: tuple[int, int]) -> tuple[np.ndarray | None, str | None]:
    """(rows, columns) True where a shutter covers an image as stored, and what it is; None if
    there is none.

    Rows and columns count from 1, what lies on an edge is shown. A shutter that contradicts itself
    or would leave nothing is left aside with a warning in `fields`.
    """
    stated = [value for value in fields.texts("ShutterShape") if value]
    covered, applied = np.zeros(shape, bool), []
    for name in stated:
        open_part = _OPENINGS[name](fields, shape) if name in _OPENINGS else None
        if open_part is None or not open_part.any():
            fields.warnings.append(
                "a display shutter of an unknown shape, or one that contradicts itself, is left "
                "aside"
            )
            continue
        covered |= ~open_part
        applied.append(name.lower())
    if not applied or not covered.any():
        return None, None
    if covered.all():
        fields.warnings.append("the display shutters leave nothing of the image: left aside")
        return None, None
    return covered, f"{' and '.join(applied)} shutter blanked ({covered.mean():.1%} of the pixels)"


def _rectangular(fields: Fields, shape: tuple[int, int]) -> np.ndarray | None:
    edges = [fields.numbers(keyword, 1) for keyword in _EDGES]
    if None in edges:
        return None
    left, right, upper, lower = (edge[0] for edge in edges if edge)
    row, column = _grid(shape)
    return (row >= upper) & (row <= lower) & (column >= left) & (column <= right)


def _circular(fields: Fields, shape: tuple[int, int]) -> np.ndarray | None:
    centre = fields.numbers("CenterOfCircularShutter", 2)
    radius = fields.numbers("RadiusOfCircularShutter", 1)
    if centre is None or radius is None or radius[0] <= 0:
        return None
    row, column = _grid(shape)
    return (row - centre[0]) ** 2 + (column - centre[1]) ** 2 <= radius[0] ** 2


def _polygonal(fields: Fields, shape: tuple[int, int]) -> np.ndarray | None:
    """Inside by the even-odd rule, or on a corner's pixel."""
    numbers = fields.numbers("VerticesOfThePolygonalShutter")
    if numbers is None or len(numbers) < 6 or len(numbers) % 2:
        return None
    corners = np.array(numbers).reshape(-1, 2)  # row, column
    row, column = _grid(shape)
    inside = np.zeros(shape, bool)
    on_edge = np.zeros(shape, bool)
    for (row1, column1), (row2, column2) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        cross = (row - row1) * (column2 - column1) - (column - column1) * (row2 - row1)
        within_rows = (row >= min(row1, row2)) & (row <= max(row1, row2))
        within_columns = (column >= min(column1, column2)) & (column <= max(column1, column2))
        on_edge |= (cross == 0) & within_rows & within_columns
        if row1 != row2:
            crossing = column1 + (row - row1) * (column2 - column1) / (row2 - row1)
            inside ^= ((row1 > row) != (row2 > row)) & (column < crossing)
    return inside | on_edge


def _grid(shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    return np.arange(1, shape[0] + 1)[:, None], np.arange(1, shape[1] + 1)[None]


_OPENINGS = {"RECTANGULAR": _rectangular, "CIRCULAR": _circular, "POLYGONAL": _polygonal}
