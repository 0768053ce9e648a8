"""NIfTI volumes in the index: the affine is the file's own and proven, or the volume is left out
by name."""

import gzip
import itertools
from contextlib import suppress
from pathlib import Path

import nibabel
import numpy as np
import pytest
from nibabel.testing import data_path

from medinv.config import Rules, Selection
from medinv.data.dicom.geometry import affine as affine_of
from medinv.data.dicom.index import Instance, index
from medinv.data.dicom.rules import choose
from medinv.data.nifti import read_nifti
from medinv.errors import HeaderError, PixelDataError
from medinv.models.store import read_card

VOXELS = np.arange(4 * 5 * 6, dtype=np.int16).reshape(4, 5, 6)
AFFINE = np.array([[0, 0.7, 0, -10], [-0.5, 0, 0, 20], [0, 0, 2.5, 30], [0, 0, 0, 1]])


def saved(
    path: Path, voxels: np.ndarray = VOXELS, affine: np.ndarray = AFFINE, **fields: object
) -> Path:
    """Written by nibabel; then header fields are overwritten one by one."""
    image = nibabel.Nifti1Image(voxels, affine)
    image.header.set_xyzt_units("mm")
    image.to_filename(path)
    if fields:
        for name, value in fields.items():
            image.header[name] = value
        path.write_bytes(image.header.binaryblock + path.read_bytes()[348:])
    return path


def one(path: Path) -> object:
    """The only record of an index, or its error."""
    found = index([path])
    (record,) = [*found.instances, *found.skipped, *found.broken]
    return getattr(record, "error", record)


@pytest.mark.parametrize("name", ["v.nii", "v.nii.gz", "V.NII"])
def test_voxels_and_affine_are_those_of_nibabel(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    saved(tmp_path / name.lower()).rename(path)
    instance = one(tmp_path)
    assert (
        instance.format,
        instance.rows,
        instance.columns,
        instance.frames,
        instance.bits_stored,
    ) == ("nifti", 4, 5, 6, 16)
    volume = read_nifti(instance)
    assert (volume.stored == VOXELS).all() and volume.stored.dtype == np.int16
    assert np.allclose(volume.affine, AFFINE) and not volume.warnings


@pytest.mark.parametrize(
    "name",
    ["anatomical.nii", "standard.nii.gz", "reoriented_anat_moved.nii", "resampled_anat_moved.nii"],
)
def test_real_volumes_equal_the_reference(name: str) -> None:
    reference = nibabel.load(Path(data_path) / name)
    volume = read_nifti(one(Path(data_path) / name))
    assert np.allclose(volume.affine, reference.affine) and np.array_equal(
        volume.values, reference.get_fdata(), equal_nan=True
    )
    assert (
        any("not finite" in warning for warning in volume.warnings) == np.isnan(volume.values).any()
    )


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_the_geometry_says_where_voxels_lie_and_which_way_they_face(
    tmp_path: Path, order: tuple[int, ...]
) -> None:
    affine = np.eye(4)
    affine[:3, :3] = (np.eye(3) * [0.5, 0.7, 2.5])[:, order]
    affine[:3, 3] = [-10, 20, 30]
    geometry = one(saved(tmp_path / "v.nii", affine=affine)).geometry
    handed = affine_of(
        geometry
    )  # slices run along the normal there, so that a left-handed volume differs in the third axis
    assert np.allclose(handed[:, [0, 1, 3]], affine[:, [0, 1, 3]]) and np.allclose(
        np.abs(handed), np.abs(affine)
    )


def test_scaling_big_endian_and_units(tmp_path: Path) -> None:
    image = nibabel.Nifti1Image(VOXELS, AFFINE)
    image.header.set_xyzt_units("meter")
    image.header.set_slope_inter(2, -1000)
    header = image.header.as_byteswapped(">")
    nibabel.Nifti1Image(image.dataobj, AFFINE, header).to_filename(tmp_path / "v.nii")
    volume = read_nifti(one(tmp_path / "v.nii"))
    assert np.allclose(volume.affine[:3], AFFINE[:3] * 1000)
    assert np.allclose(volume.values, nibabel.load(tmp_path / "v.nii").get_fdata())


def test_an_affine_that_is_not_stated_is_not_made_up(tmp_path: Path) -> None:
    assert (
        one(saved(tmp_path / "v.nii", vox_offset=352, qform_code=0, sform_code=0)).code
        == "unproven-affine"
    )


def test_statements_that_contradict_each_other_are_said(tmp_path: Path) -> None:
    record = one(
        saved(
            tmp_path / "v.nii",
            srow_x=[0, 0.7, 0, 99],
            vox_offset=352,
            qform_code=1,
            pixdim=[1, 3, 3, 3, 0, 0, 0, 0],
            xyzt_units=0,
        )
    )
    assert [
        word in " ".join(record.warnings) for word in ("unit", "qform and sform", "pixdim")
    ] == [True] * 3
    assert isinstance(
        one(saved(tmp_path / "v.nii", vox_offset=352, srow_x=[0, 0, 0, 0])), HeaderError
    )


def test_a_sheared_volume_has_no_orientation(tmp_path: Path) -> None:
    sheared = AFFINE.copy()
    sheared[1, 2] = 1.0
    assert one(saved(tmp_path / "v.nii", affine=sheared, qform_code=0)).geometry.orientation is None


def test_kinds_that_are_not_read_are_skipped(tmp_path: Path) -> None:
    assert one(saved(tmp_path / "v.nii", np.zeros((3, 3, 3, 2), np.uint8))).code == "nifti-series"
    assert one(saved(tmp_path / "v.nii", np.zeros((3, 3, 3), np.complex64))).code == "nifti-kind"


@pytest.mark.parametrize("content", [b"", b"hello", bytes(400)])
def test_a_name_alone_makes_no_nifti(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "v.nii").write_bytes(content)
    assert isinstance(one(tmp_path / "v.nii"), HeaderError)


def test_cut_and_flipped_files_raise_nothing_else(tmp_path: Path) -> None:
    plain = saved(tmp_path / "v.nii").read_bytes()
    (tmp_path / "v.nii").write_bytes(plain[:-1])
    assert isinstance(one(tmp_path / "v.nii"), PixelDataError)
    for packed in (plain, gzip.compress(plain)):
        for end in range(0, len(packed), 29):
            for content in (
                packed[:end],
                packed[:end] + bytes([packed[end] ^ 0xFF]) + packed[end + 1 :],
            ):
                (tmp_path / "v.nii").write_bytes(content)
                record = one(tmp_path / "v.nii")
                if isinstance(record, Instance):
                    with suppress(HeaderError, PixelDataError):
                        read_nifti(record)


def test_a_model_of_single_images_leaves_volumes_out_and_one_of_volumes_takes_them(
    tmp_path: Path,
) -> None:
    saved(tmp_path / "v.nii")
    (study,) = index([tmp_path]).studies
    assert [
        skipped.code for skipped in choose(study, read_card("chest-xray").rules).study.skipped
    ] == ["nifti"]
    volumes = choose(
        study,
        Rules(
            modalities=("CT",),
            selection=Selection(takes="volume", slices=(6, 6), planes=("axial",), thickness=(2, 3)),
        ),
    )
    assert len(volumes.study.instances) == 1 and volumes.warnings == (
        "modality not stated: taken as eligible",
        "image type not stated: taken as eligible",
    )
