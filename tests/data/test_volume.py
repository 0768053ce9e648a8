"""A volume lies the same way whatever file it came from, and says what was done to it."""

from pathlib import Path

import nibabel
import numpy as np
import pydicom
import pytest
from dicom_samples import write
from PIL import Image

from medinv.data.dicom.index import index
from medinv.data.volume import read_volume, volume_of
from medinv.errors import DataError, PixelDataError

# 6 slices from feet to head of 8 rows to the back and 10 columns to the left: no two voxels alike.
BODY = np.random.default_rng(0).permutation(6 * 8 * 10).reshape(6, 8, 10)
STEPS = np.array([2.5, 0.7, 0.5])  # mm between slices, rows, columns


def axial(folder: Path, **elements: object) -> list:
    for k, image in enumerate(BODY):
        write(
            folder / f"{k}.dcm",
            image.astype(np.uint16),
            number=20 - k,
            PixelSpacing=[0.7, 0.5],
            ImageOrientationPatient=[1, 0, 0, 0, 1, 0],
            ImagePositionPatient=[0, 0, 2.5 * k],
            SliceThickness=2.5,
            **elements,
        )
    return list(index([folder]).instances)


def coronal(folder: Path, **elements: object) -> list:
    """The same body cut from the front to the back, rows running down."""
    for k in range(8):
        write(
            folder / f"{k}.dcm",
            BODY[::-1, k].astype(np.uint16),
            number=k,
            PixelSpacing=[2.5, 0.5],
            ImageOrientationPatient=[1, 0, 0, 0, 0, -1],
            ImagePositionPatient=[0, 0.7 * k, 12.5],
            SliceThickness=0.7,
            **elements,
        )
    return list(index([folder]).instances)


def nifti(folder: Path, axes: str = "RAS") -> list:
    folder.mkdir(exist_ok=True)
    image = nibabel.Nifti1Image(
        np.ascontiguousarray(BODY.transpose(2, 1, 0)).astype(np.int16),
        np.diag([-0.5, -0.7, 2.5, 1]),  # columns run to the left, rows to the back
    )
    image.header.set_xyzt_units("mm")
    turned = nibabel.orientations.ornt_transform(
        nibabel.io_orientation(image.affine), nibabel.orientations.axcodes2ornt(axes)
    )
    image.as_reoriented(turned).to_filename(folder / "v.nii.gz")
    return list(index([folder]).instances)


WINDOW = {"WindowCenter": 240, "WindowWidth": 481}


@pytest.mark.parametrize("series", [axial, coronal])
def test_slices_of_any_plane_give_the_body_the_same_way(tmp_path, series) -> None:
    found = volume_of(series(tmp_path, **WINDOW))
    expected = np.rint(np.clip((BODY - 239.5) / 480 + 0.5, 0, 1) * 255)
    assert np.array_equal(found.levels, expected)
    assert found.spacing == pytest.approx(STEPS)
    assert "6 x 8 x 10 voxels of 2.5 x 0.7 x 0.5 mm" in found.policy
    assert "window 240/481 LINEAR of the middle slice" in found.policy


@pytest.mark.parametrize("axes", ["RAS", "LPS", "SPL", "PIR"])
def test_a_nifti_volume_lies_as_the_series_does(tmp_path, axes) -> None:
    found = volume_of(nifti(tmp_path / "n", axes))
    low, high = np.percentile(BODY, [0.5, 99.5])
    expected = np.rint(np.clip((BODY - low) * (255 / (high - low)), 0, 255))
    assert np.array_equal(found.levels, expected)
    assert found.spacing == pytest.approx(STEPS) and "range" in found.policy


def test_a_network_input_is_averaged_along_each_axis(tmp_path) -> None:
    instances = axial(tmp_path, **WINDOW)
    taken = read_volume(instances, (3, 4, 5))
    assert taken.shape == (1, 3, 4, 5) and taken.dtype == np.uint8
    levels = volume_of(instances).levels
    means = levels.reshape(3, 2, 4, 2, 5, 2).mean((1, 3, 5))
    assert np.abs(taken[0] - means).max() <= 0.5
    assert read_volume(instances, (12, 8, 10))[0, ::2].tolist() == levels.tolist()


def test_a_window_in_each_slice_is_that_of_the_middle_and_none_is_one_decision(tmp_path) -> None:
    folder = tmp_path / "a"
    axial(folder, **WINDOW)
    for k in (0, 5):
        dataset = pydicom.dcmread(folder / f"{k}.dcm")
        dataset.WindowCenter, dataset.WindowWidth = 1000, 10
        dataset.save_as(folder / f"{k}.dcm")
    several = volume_of(list(index([folder]).instances))
    assert np.array_equal(several.levels, volume_of(axial(tmp_path / "b", **WINDOW)).levels)
    silent = volume_of(axial(tmp_path / "c"))
    order = np.argsort(BODY.ravel())
    assert (np.diff(silent.levels.ravel()[order].astype(int)) >= 0).all(), (
        "one scale for all slices"
    )


def test_inverted_slices_are_shown_inverted(tmp_path) -> None:
    plain = volume_of(axial(tmp_path / "a", **WINDOW))
    negative = volume_of(axial(tmp_path / "b", PhotometricInterpretation="MONOCHROME1", **WINDOW))
    assert np.abs(255 - plain.levels.astype(int) - negative.levels).max() <= 1
    assert "inverted" in negative.policy


def test_what_is_no_volume_is_refused_with_the_reason(tmp_path) -> None:
    instances = axial(tmp_path)
    with pytest.raises(DataError, match="missing-slices"):
        read_volume([one for one in instances if not one.source.endswith("2.dcm")], (4, 4, 4))
    Image.fromarray(BODY[0].astype(np.uint8)).save(tmp_path / "x.png")
    (picture,) = index([tmp_path / "x.png"]).instances
    for wrong in ([picture], [picture, *instances], []):
        with pytest.raises(DataError, match="slices of one DICOM series"):
            read_volume(wrong, (4, 4, 4))
    holed = np.full((4, 4, 4), np.nan, np.float32)
    nibabel.Nifti1Image(holed, np.eye(4)).to_filename(tmp_path / "x.nii")
    with pytest.raises(PixelDataError, match="finite"):
        read_volume(list(index([tmp_path / "x.nii"]).instances), (4, 4, 4))
