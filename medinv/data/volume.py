"""Volumes as a network is shown them: a series of DICOM slices, one multi-frame image or a NIfTI
file, the body lying the same way in all of them.

    values in the modality's units, with the affine of the header
        -> axes as the body lies: slices from feet to head, rows from front to back, columns from
           the patient's right to the left, each axis of the array that which is nearest
        -> grey levels 0..255, by one window for the whole volume where the header states any
        -> area averages along each axis by itself

An oblique volume is not rotated, and voxels that are not cubes become no cubes: each axis is
brought to the size that the network has, whatever its millimetres, which `Volume.policy` states.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from medinv.data.dicom.fields import Fields
from medinv.data.dicom.frames import FrameHeaders
from medinv.data.dicom.grey import inverted, window, window_policy
from medinv.data.dicom.index import open_dataset
from medinv.data.dicom.pixels import Pixels, read_frames
from medinv.data.dicom.records import Instance
from medinv.data.dicom.volume import Slice, Stack, stack
from medinv.data.frame import Grid
from medinv.data.nifti import MOST_VOXELS, read_nifti
from medinv.data.resize import resize_volume
from medinv.errors import DataError, PixelDataError

AXES = ("S", "P", "L")  # that slices, rows and columns run towards
_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])  # from right, front, head to DICOM's left, back, head
LEFT_OUT = 0.5  # per cent of the values at either end that a range leaves out


@dataclass(frozen=True)
class Volume:
    """A volume at full size, the body lying as AXES say."""

    levels: np.ndarray  # (slices, rows, columns) uint8 grey levels
    spacing: tuple[float, float, float]  # mm between slices, rows, columns
    sha256: str  # of the hashes of all slices as stored, in order; of NIfTI of its values, float32
    policy: str  # what was done, in order
    warnings: tuple[str, ...]
    grid: Grid


def read_volume(instances: Sequence[Instance], size: tuple[int, ...]) -> np.ndarray:
    """The network input (1, *size) uint8 of the slices of one volume, or of a NIfTI file.

    `size`: slices from feet to head, rows from front to back, columns from the patient's right to
    the left. Raises what `volume_of` does, and ShapeError for a size of other than three sides.
    """
    return resize_volume(volume_of(instances).levels, size)


def volume_of(instances: Sequence[Instance]) -> Volume:
    """Read the slices of one volume, or a NIfTI file.

    Raises DataError for images that make no volume, with the reason, and what reading them raises.
    """
    formats = {one.format for one in instances}
    if len(formats) != 1 or (read := _FORMATS.get(formats.pop())) is None:
        raise DataError(
            "expected the slices of one DICOM series or one NIfTI volume",
            path=instances[0].source if instances else None,
            stage="volume",
        )
    return read(instances)


def _of_slices(instances: Sequence[Instance]) -> Volume:
    found = stack(list(instances))
    if found.affine is None:
        reasons = "; ".join(f"{one.code}: {one.message}" for one in found.refused)
        raise DataError(
            f"these slices make no volume: {reasons}", path=instances[0].source, stage="volume"
        )
    first = found.slices[0].instance
    if first.rows * first.columns * len(found.slices) > MOST_VOXELS:
        raise PixelDataError(
            f"{first.rows} x {first.columns} x {len(found.slices)} voxels are announced, at most "
            f"{MOST_VOXELS} are read",
            path=first.source,
        )
    stated = _stated_window(found)
    levels = np.empty((first.rows, first.columns, len(found.slices)), np.uint8)
    places = {(one.instance.source, one.frame): k for k, one in enumerate(found.slices)}
    digests, hows = [""] * len(places), dict[str, None]()
    for instance in {one.instance.source: one.instance for one in found.slices}.values():
        for pixels in read_frames(instance):
            if (k := places.get((instance.source, pixels.frame))) is not None:
                levels[..., k] = _shown(pixels, stated)
                digests[k] = pixels.sha256
                hows[pixels.policy] = None
    said = dict.fromkeys(text for one in instances for text in one.warnings)
    said |= dict.fromkeys(f"{one.code}: {one.message}, {one.handled}" for one in found.findings)
    how = stated.policy if stated else next(iter(hows))
    return _volume(levels, found.affine, how, "".join(digests), tuple(said))


def _shown(pixels: Pixels, stated: "_Window | None") -> np.ndarray:
    """Grey levels of a slice as it lies in the file."""
    levels = pixels.levels
    if stated is not None:
        levels = replace(levels, display=stated.of(levels.modality))
    shown = levels.display_of(pixels.grey)
    if pixels.dark is not None:
        shown[pixels.dark] = 0
    return shown


def _of_nifti(instances: Sequence[Instance]) -> Volume:
    if len(instances) > 1:
        raise DataError(
            f"expected one NIfTI volume, got {len(instances)}",
            path=instances[1].source,
            stage="volume",
        )
    read = read_nifti(instances[0])
    if not np.isfinite(read.values).all():
        raise PixelDataError(
            "voxels that are no finite numbers: replace them", path=instances[0].source
        )
    levels, how = _by_range(read.values)
    values = np.ascontiguousarray(read.values, "<f4").tobytes()
    return _volume(levels, read.affine, how, values, read.warnings)


_FORMATS: dict[str, Callable[[Sequence[Instance]], Volume]] = {
    "dicom": _of_slices,
    "nifti": _of_nifti,
}


@dataclass(frozen=True)
class _Window:
    """Of the middle slice, for all of them: some scanners state another one in each."""

    centre: float
    width: float
    function: str
    inverted: bool

    @property
    def policy(self) -> str:
        how = window_policy(self.centre, self.width, self.function)
        return f"{how} of the middle slice" + ", inverted" * self.inverted

    def of(self, modality: np.ndarray) -> np.ndarray:
        """uint8 of values in the modality's units."""
        shown = window(modality, self.centre, self.width, self.function)
        if shown is None:
            raise DataError("expected a window that can be used", stage="volume")
        return np.rint((1 - shown if self.inverted else shown) * 255).astype(np.uint8)


def _stated_window(found: Stack) -> _Window | None:
    """None where the middle slice states none that can be used; each slice is then shown as an
    image is, by one decision for its series."""
    middle: Slice = found.slices[len(found.slices) // 2]
    fields = FrameHeaders(Fields(open_dataset(middle.instance)))[middle.frame]
    centres, widths = fields.numbers("WindowCenter"), fields.numbers("WindowWidth")
    if not centres or not widths or fields.sequence("VOILUTSequence"):
        return None
    function = fields.text("VOILUTFunction") or "LINEAR"
    if window(np.zeros(1), centres[0], widths[0], function) is None:
        return None
    return _Window(centres[0], widths[0], function, inverted(fields, middle.instance))


def _volume(
    levels: np.ndarray,
    affine: np.ndarray,
    how: str,
    content: str | bytes,
    warnings: tuple[str, ...],
) -> Volume:
    """Of grey levels as they lie in the file."""
    from nibabel import orientations

    turn = orientations.ornt_transform(
        orientations.io_orientation(affine), orientations.axcodes2ornt(AXES)
    )
    turned = np.ascontiguousarray(orientations.apply_orientation(levels, turn))
    sides = np.linalg.norm(affine[:3, :3], axis=0)
    spacing = dict(zip(turn[:, 0].astype(int), sides.tolist(), strict=True))
    between = (spacing[0], spacing[1], spacing[2])
    voxels = " x ".join(map(str, turned.shape))
    policy = (
        f"{voxels} voxels of {' x '.join(f'{side:.3g}' for side in between)} mm (slices from feet "
        f"to head, rows to the back, columns to the left); {how}"
    )
    stored = hashlib.sha256(content.encode() if isinstance(content, str) else content)
    placed = _LPS @ affine @ orientations.inv_ornt_aff(turn, levels.shape)
    grid = Grid((turned.shape[0], turned.shape[1], turned.shape[2]), placed)
    return Volume(turned, between, stored.hexdigest(), policy, warnings, grid)


def _by_range(values: np.ndarray) -> tuple[np.ndarray, str]:
    """uint8 by the range of a volume that no window comes with, its ends left out."""
    low, high = np.percentile(values, [LEFT_OUT, 100 - LEFT_OUT]).tolist()
    if high <= low:
        low, high = float(values.min()), float(values.max())
    shown = np.clip((values - low) * (255 / ((high - low) or 1.0)), 0, 255)
    how = f"range {low:.4g} to {high:.4g}, {LEFT_OUT:g} % left out at either end"
    return np.rint(shown).astype(np.uint8), how
