"""NIfTI volumes: the header as an entry of the index, the voxels with an affine that the file
itself states."""

import gzip
import hashlib
import io
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from medinv.data.dicom.archive import FAULTS
from medinv.data.dicom.geometry import Geometry
from medinv.data.dicom.location import Location
from medinv.data.dicom.records import Instance, Skipped
from medinv.errors import HeaderError, MedinvError, PixelDataError

if (
    TYPE_CHECKING
):  # else brought where it is needed: every process that reads DICOM files would wait for it
    import nibabel

MOST_VOXELS = 1 << 30  # beyond it a damaged header would fill the memory
_HEADER = 540  # bytes of the longer version
_VERSIONS = {
    b"n+1\0": (344, 348, "Nifti1Header"),
    b"n+2\0": (4, 540, "Nifti2Header"),
}  # by magic: where it stands, bytes of the header, its class
_TO_MM = {0: 1.0, 1: 1000.0, 2: 1.0, 3: 0.001}  # by code of the unit: not stated, metre, mm, micron
_AGREEMENT = 1e-2  # mm, or relative: between two statements of one fact


@dataclass(frozen=True)
class Volume:
    """Voxels (I, J, K) as stored and in the file's units, float64; `affine` (4, 4) takes (i, j,
    k) to millimetres in R A S axes."""

    stored: np.ndarray
    values: np.ndarray
    affine: np.ndarray
    warnings: tuple[str, ...]


def is_nifti(location: Location) -> bool:
    """By its name."""
    return (location.member or location.path.name).lower().endswith((".nii", ".nii.gz"))


def read_nifti_header(location: Location) -> Instance | Skipped:
    """The volume as an image of one study of its own (NIfTI names none), or why it is not one.

    Raises HeaderError for a header that is damaged or contradicts itself, PixelDataError if an
    uncompressed file is too short, and what `Location.open` raises.
    """
    from nibabel.spatialimages import HeaderDataError

    header, shape, dtype = _header(location)
    if dtype.fields or dtype.kind not in "iuf":
        return Skipped(
            location.source,
            None,
            None,
            "nifti-kind",
            f"voxels of type {dtype}: only integers and real numbers are read",
        )
    if len(shape) > 3:
        return Skipped(
            location.source,
            None,
            None,
            "nifti-series",
            f"{' x '.join(map(str, shape))}: several volumes in one file; split it",
        )
    try:
        affine, form, warnings = _affine(header)
    except (HeaderDataError, ValueError) as error:
        raise HeaderError(
            "qform or sform holds no rotation and scale: where the volume lies is not known",
            path=location.source,
        ) from error
    if form is None:
        return Skipped(
            location.source,
            None,
            None,
            "unproven-affine",
            "neither qform nor sform is set: where the volume lies is not known",
        )
    rows, columns, slices = (*shape, 1, 1)[:3]
    bits = 8 * dtype.itemsize
    return Instance(
        source=location.source,
        location=location,
        study_uid=None,
        series_uid=None,
        sop_uid="nifti-" + hashlib.sha256(location.source.encode()).hexdigest()[:32],
        sop_class=None,
        modality=None,
        body_part=None,
        view=None,
        laterality=None,
        patient_orientation=(),
        image_type=(),
        photometric="MONOCHROME2",
        rows=rows,
        columns=columns,
        frames=slices,
        bits_allocated=bits,
        bits_stored=bits,
        high_bit=bits - 1,
        signed=dtype.kind != "u",
        transfer_syntax="",
        lossy=False,
        number=None,
        acquisition=None,
        echo=None,
        b_value=None,
        geometry=_geometry(affine, form),
        warnings=tuple(warnings),
        format="nifti",
    )


def read_nifti(instance: Instance) -> Volume:
    """All voxels of an indexed volume.

    Raises as `read_nifti_header`, and PixelDataError for data that are cut, damaged or too large.
    """
    location = instance.location
    header, shape, dtype = _header(location)
    if math.prod(shape) > MOST_VOXELS:
        raise PixelDataError(
            f"{' x '.join(map(str, shape))} voxels are announced, at most {MOST_VOXELS} are read",
            path=location.source,
        )
    length = math.prod(shape) * dtype.itemsize
    data = _read(location, int(header["vox_offset"]), length)
    if len(data) < length:
        raise PixelDataError(
            f"{length} bytes of voxels are announced, found {len(data)}: the file is truncated",
            path=location.source,
        )
    stored = (
        np.frombuffer(data, dtype)
        .reshape((*shape, 1, 1)[:3], order="F")
        .astype(dtype.newbyteorder("="))
    )
    slope, intercept = header.get_slope_inter()
    values = stored.astype(np.float64) * (1.0 if slope is None else float(slope)) + (
        intercept or 0.0
    )
    affine, _, warnings = _affine(header)
    if odd := int((~np.isfinite(values)).sum()):
        warnings.append(f"NIfTI: {odd} voxels are not finite numbers")
    return Volume(stored, values, affine, tuple(warnings))


def _header(location: Location) -> "tuple[nibabel.Nifti1Header, tuple[int, ...], np.dtype]":
    import nibabel

    start = _read(location, 0, _HEADER)
    version = next(
        (known for magic, known in _VERSIONS.items() if start[known[0] : known[0] + 4] == magic),
        None,
    )
    if version is None:
        raise HeaderError(
            "expected a NIfTI file in one piece (magic n+1 or n+2), found none",
            path=location.source,
        )
    _, size, kind = version
    try:
        header = getattr(nibabel, kind).from_fileobj(
            io.BytesIO(start[:size] + bytes(4)), check=False
        )  # four zeros: no extensions follow
        shape, dtype = header.get_data_shape(), header.get_data_dtype()
    # nibabel raises whatever it met: HeaderDataError, KeyError, ValueError, struct.error, ...
    except Exception as error:
        raise HeaderError(
            f"the NIfTI header cannot be understood ({type(error).__name__}): damaged",
            path=location.source,
        ) from error
    while len(shape) > 3 and shape[-1] == 1:
        shape = shape[:-1]
    if (
        not shape
        or min(shape) < 1
        or not np.isfinite(header["vox_offset"])
        or header["vox_offset"] < 0
    ):
        raise HeaderError(
            "the NIfTI header announces no voxels, or none where they could lie: damaged",
            path=location.source,
        )
    needed = int(header["vox_offset"]) + math.prod(map(int, shape)) * dtype.itemsize
    if not _packed(location) and location.size() < needed:
        raise PixelDataError(
            f"{needed} bytes are announced, found {location.size()}: the file is truncated",
            path=location.source,
        )
    return header, tuple(map(int, shape)), dtype


def _packed(location: Location) -> bool:
    with location.open() as stream:
        return stream.read(2) == b"\x1f\x8b"


def _read(location: Location, offset: int, length: int) -> bytes:
    """At most `length` bytes from `offset` on of the unpacked file, fewer if it ends before."""
    packed = _packed(location)
    try:
        with location.open() as stream:
            content = gzip.GzipFile(fileobj=stream) if packed else stream
            content.seek(offset)
            return content.read(length)
    except MedinvError:
        raise
    except FAULTS as error:
        raise PixelDataError(
            f"the file cannot be read ({type(error).__name__}): truncated or damaged",
            path=location.source,
            stage="read",
        ) from error


def _affine(header: "nibabel.Nifti1Header") -> tuple[np.ndarray, str | None, list[str]]:
    """The affine in millimetres, the form that gave it (None: the file states none) and doubts.

    Raises HeaderDataError or ValueError.
    """
    warnings = []
    unit = int(header["xyzt_units"]) & 7
    if unit == 0:
        warnings.append("NIfTI: the unit of length is not stated: taken as mm")
    scale = np.diag([*[_TO_MM.get(unit, 1.0)] * 3, 1.0])
    forms = {"sform": header.get_sform(coded=True)[0], "qform": header.get_qform(coded=True)[0]}
    affines = {name: scale @ form for name, form in forms.items() if form is not None}
    if not affines:
        return np.eye(4), None, warnings
    name, affine = next(iter(affines.items()))
    if not np.isfinite(affine).all() or abs(np.linalg.det(affine[:3, :3])) < 1e-12:
        raise ValueError("singular")
    if len(affines) == 2 and not np.allclose(affines["qform"], affine, atol=_AGREEMENT):
        warnings.append("NIfTI: qform and sform place the volume differently: sform is taken")
    sizes = np.array(header.get_zooms()[:3]) * scale[0, 0]
    if not np.allclose(np.linalg.norm(affine[:3, : len(sizes)], axis=0), sizes, rtol=_AGREEMENT):
        warnings.append(f"NIfTI: the voxel sizes of {name} and pixdim differ: {name} is taken")
    return affine, name, warnings


def _geometry(affine: np.ndarray, form: str) -> Geometry:
    """Rows along the first axis, columns along the second, slices along the third; orientation
    only where the axes are perpendicular."""
    lps = np.diag([-1.0, -1.0, 1.0]) @ affine[:3]
    sizes = np.linalg.norm(lps[:, :3], axis=0)
    axes = lps[:, :3] / sizes
    upright = np.abs(axes.T @ axes - np.eye(3)).max() < _AGREEMENT
    return Geometry(
        spacing=(float(sizes[0]), float(sizes[1])),
        spacing_from=form,
        aspect=float(sizes[0] / sizes[1]),
        position=tuple(lps[:, 3].tolist()),
        orientation=(*axes[:, 1].tolist(), *axes[:, 0].tolist()) if upright else None,
        thickness=float(sizes[2]),
    )
