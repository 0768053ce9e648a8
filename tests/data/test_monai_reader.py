"""MedinvReader gives LoadImage what PydicomReader gives where that is right, and is right where it
is not."""

from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch
from dicom_samples import PYDICOM_FILES, table, write
from monai.data import DataLoader, Dataset, NibabelReader, PydicomReader
from monai.transforms import LoadImage, LoadImaged
from test_dicom_frames import enhanced

from medinv.data.monai import MedinvReader
from medinv.errors import ConfigError, DataError, MissingDataError, TwoPatientsError

STUDIES = Path(__file__).parents[2] / "sample_data" / "studies"
CT = STUDIES / "study-02" / "ct"


def load(path: Path | list[Path], **settings) -> torch.Tensor:
    return LoadImage(reader=MedinvReader(**settings))(path)


def slices(folder: Path, depths: list[float], **elements: object) -> Path:
    """Axial CT slices, each of the value of its place; InstanceNumber runs the other way."""
    for k, depth in enumerate(depths):
        common = {
            "SOPClassUID": "1.2.840.10008.5.1.4.1.1.2",
            "Modality": "CT",
            "ImageOrientationPatient": [1, 0, 0, 0, 1, 0],
            "ImagePositionPatient": [5, 6, depth],
            "PixelSpacing": [0.5, 0.25],
            "RescaleSlope": 2,
            "RescaleIntercept": -10,
        }
        pixels = np.full((6, 8), k, np.uint16)
        write(folder / f"{k}.dcm", pixels, number=len(depths) - k, **(common | elements))
    return folder


@pytest.mark.parametrize("study", ["study-02", "study-04"])
@pytest.mark.parametrize("swap_ij", [True, False])
def test_a_plain_series_is_what_pydicom_reader_gives(study: str, swap_ij: bool) -> None:
    folder = STUDIES / study / "ct"
    theirs = LoadImage(reader=PydicomReader(swap_ij=swap_ij))(folder)
    ours = load(folder, swap_ij=swap_ij)
    assert ours.shape == theirs.shape == (128, 128, 14)
    assert np.array_equal(ours.numpy(), theirs.numpy())
    assert np.allclose(ours.affine, theirs.affine, atol=1e-3)
    assert np.allclose(ours.pixdim, theirs.pixdim, atol=1e-4)


def test_real_slices_are_what_pydicom_reader_gives() -> None:
    path = PYDICOM_FILES / "CT_small.dcm"
    theirs = LoadImage(reader=PydicomReader())(path)
    ours = load(path)
    assert np.array_equal(ours.numpy(), theirs.numpy())
    assert np.allclose(ours.affine[:3, [0, 1, 3]], theirs.affine[:3, [0, 1, 3]], atol=1e-3)


def test_slices_go_by_where_they_lie_whatever_their_numbers(tmp_path: Path) -> None:
    folder = slices(tmp_path, [0, 3, 6, 9])
    assert LoadImage(reader=PydicomReader())(folder)[0, 0].tolist() == [-4, -6, -8, -10]
    ours = load(folder)
    assert ours[0, 0].tolist() == [-10, -8, -6, -4]
    assert np.allclose(ours.affine.numpy() @ [0, 0, 3, 1], [-5, -6, 9, 1])
    assert np.allclose(ours.affine.numpy() @ [7, 0, 0, 1], [-5 - 7 * 0.25, -6, 0, 1])


def test_a_gap_is_refused_by_name_and_no_other_reader_steps_in(tmp_path: Path) -> None:
    folder = slices(tmp_path, [0, 3, 9, 12, 15])
    assert LoadImage(reader=PydicomReader())(folder).shape[2] == 5  # and 3.75 mm between slices
    with pytest.raises(DataError, match="1 slices are missing at a spacing of 3 mm"):
        load(folder)
    longest = load(folder, rule="longest-run")
    assert longest[0, 0].tolist() == [-6, -4, -2]
    assert "the longest even run is taken" in longest.meta["warnings"]


def test_two_series_in_a_folder_are_refused(tmp_path: Path) -> None:
    slices(tmp_path / "a", [0, 3])
    other = {"SeriesInstanceUID": "1.2.1.9", "SOPInstanceUID": "1.2.3"}
    slices(tmp_path / "b", [6], **other)
    with pytest.raises(DataError, match=r"got 2: 1\.1: CT, 6 x 8.*; 2\.1: CT"):
        load(tmp_path)


def test_two_patients_in_a_folder_are_refused(tmp_path: Path) -> None:
    slices(tmp_path / "a", [0, 3])
    slices(tmp_path / "b", [6], PatientID="ANOTHER", SOPInstanceUID="1.2.3")
    with pytest.raises(TwoPatientsError) as caught:
        load(tmp_path)
    assert "SECRET" not in str(caught.value) and "ANOTHER" not in str(caught.value)


def test_a_damaged_slice_is_refused(tmp_path: Path) -> None:
    folder = slices(tmp_path, [0, 3, 6])
    whole = (folder / "1.dcm").read_bytes()
    (folder / "1.dcm").write_bytes(whole[:-20])
    with pytest.raises(DataError, match=r"1\.dcm"):
        load(folder)


def test_bright_is_attenuating_in_monochrome1(tmp_path: Path) -> None:
    pixels = np.arange(48, dtype=np.uint16).reshape(6, 8)
    plain = write(tmp_path / "a.dcm", pixels, BitsStored=12, HighBit=11)
    turned = write(
        tmp_path / "b.dcm",
        4095 - pixels,
        BitsStored=12,
        HighBit=11,
        PhotometricInterpretation="MONOCHROME1",
    )
    theirs = [LoadImage(reader=PydicomReader())(path) for path in (plain, turned)]
    assert not np.array_equal(*theirs)
    for values in ("modality", "display"):
        assert np.array_equal(load(plain, values=values), load(turned, values=values)), values
    assert load(turned)[3, 2] == pixels[2, 3]


def test_emission_values_in_monochrome1_keep_their_units(tmp_path: Path) -> None:
    element = {"Modality": "PT", "PhotometricInterpretation": "MONOCHROME1"}
    assert load(write(tmp_path / "a.dcm", **element))[1, 0] == 1


def test_a_modality_table_is_applied(tmp_path: Path) -> None:
    pixels = np.array([[0, 1, 2, 3]] * 2, np.uint16)
    path = write(
        tmp_path / "a.dcm",
        pixels,
        ModalityLUTSequence=table([100, 90, 50, 7], 0, 16),
    )
    assert LoadImage(reader=PydicomReader())(path)[:, 0].tolist() == [0, 1, 2, 3]
    assert load(path)[:, 0].tolist() == [100, 90, 50, 7]


def test_grey_levels_are_those_that_classify_is_shown() -> None:
    from medinv.data.dicom.index import index
    from medinv.data.dicom.pixels import read_pixels

    for path in sorted(STUDIES.glob("*/radiograph.dcm"))[:4]:  # the fourth is in MONOCHROME1
        (instance,) = index([path]).instances
        ours = load(path, values="display", swap_ij=False)
        assert np.array_equal(ours, read_pixels(instance).display)
        assert ours.meta["policy"] == read_pixels(instance).policy


def test_display_of_a_volume_is_that_of_its_slices() -> None:
    volume = load(CT, values="display", swap_ij=False)
    alone = load(CT / "slice-03.dcm", values="display", swap_ij=False)
    assert volume.shape == (128, 128, 14) and np.array_equal(volume[..., 2], alone)


def test_pictures_are_read_in_grey_and_in_colour(tmp_path: Path) -> None:
    from PIL import Image

    colours = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    Image.fromarray(colours).save(tmp_path / "a.png")
    Image.fromarray(colours[..., 0]).save(tmp_path / "b.png")
    loader = LoadImage(reader=MedinvReader(values="display"), ensure_channel_first=True)
    assert np.array_equal(loader(tmp_path / "a.png"), colours.transpose(2, 1, 0))
    assert np.array_equal(loader(tmp_path / "b.png")[0], colours[..., 0].T)


def test_a_network_of_volumes_is_given_the_body_lying_as_in_training() -> None:
    from medinv.data.dicom.index import index
    from medinv.data.volume import read_volume

    expected = read_volume(list(index([CT]).instances), (8, 16, 12))
    reader = MedinvReader(input_shape=(1, 8, 16, 12))
    loader = LoadImage(reader=reader, ensure_channel_first=True)
    assert np.array_equal(loader(CT), expected)
    assert np.array_equal(loader(sorted(CT.glob("*.dcm"))), expected)


def test_nifti_is_what_nibabel_reader_gives(tmp_path: Path) -> None:
    affine = np.array([[-2, 0, 0, 9], [0, 3, 0.1, 8], [0, -0.1, 4, 7], [0, 0, 0, 1.0]])
    values = np.arange(60, dtype=np.int16).reshape(3, 4, 5)
    nibabel.save(nibabel.Nifti1Image(values, affine), tmp_path / "a.nii.gz")
    ours, theirs = (
        LoadImage(reader=reader)(tmp_path / "a.nii.gz")
        for reader in (MedinvReader(), NibabelReader())
    )
    assert np.array_equal(ours, theirs) and np.allclose(ours.affine, theirs.affine)


def test_nifti_that_says_nowhere_where_it_lies_is_refused(tmp_path: Path) -> None:
    image = nibabel.Nifti1Image(np.zeros((3, 4, 5), np.int16), None)
    image.header["sform_code"] = image.header["qform_code"] = 0
    nibabel.save(image, tmp_path / "a.nii")
    with pytest.raises(DataError, match="unproven-affine"):
        load(tmp_path / "a.nii")


def test_several_paths_are_channels_of_one_place(tmp_path: Path) -> None:
    folder = slices(tmp_path, [0, 3])
    same = LoadImage(reader=MedinvReader(), ensure_channel_first=True)([folder, folder])
    assert same.shape == (2, 8, 6, 2)
    with pytest.raises(DataError, match="hand in the folder"):
        load([folder / "0.dcm", folder / "1.dcm"])


def test_it_is_named_in_a_dictionary_and_joined_into_batches() -> None:
    items = [{"image": str(STUDIES / name / "ct")} for name in ("study-02", "study-04")]
    named = LoadImaged("image", reader="medinv.data.monai.MedinvReader", ensure_channel_first=True)
    (batch,) = DataLoader(Dataset(items, named), batch_size=2)
    assert batch["image"].shape == (2, 1, 128, 128, 14)


def test_metadata_name_no_patient(tmp_path: Path) -> None:
    path = write(tmp_path / "a.dcm", PatientComments="SECRET")
    meta = load(path).meta
    assert "SECRET" not in str({key: meta[key] for key in meta if key != "filename_or_obj"})


def test_what_is_not_there_or_not_known_is_said(tmp_path: Path) -> None:
    with pytest.raises(MissingDataError, match="no such file"):
        load(tmp_path / "none.dcm")
    (tmp_path / "a.txt").write_text("nothing")
    with pytest.raises(DataError, match="not-dicom"):
        load(tmp_path)
    with pytest.raises(ConfigError, match="modality or display"):
        MedinvReader(values="stored")


@pytest.mark.parametrize(
    ("name", "ours"),
    [("a.dcm", True), ("1.2.840.99", True), ("IM0001", True), ("a.nii.gz", True), ("a.npz", False)],
)
def test_names_that_it_answers_to(name: str, ours: bool) -> None:
    assert MedinvReader().verify_suffix(name) is ours


def test_enhanced_objects_keep_their_rescale_and_their_place(tmp_path: Path) -> None:
    path = enhanced(tmp_path / "a.dcm")
    with pytest.warns(UserWarning, match="identity"):
        theirs = LoadImage(reader=PydicomReader())(path)
    ours = load(path)
    assert np.allclose(theirs.affine, np.eye(4)[[1, 0, 2, 3]]) and theirs.min() >= 0
    assert ours.shape == (20, 16, 3) and ours[0, 0, 0] == -1000
    assert np.allclose(ours.affine.numpy() @ [19, 15, 2, 1], [-19 * 0.25, -15 * 0.5, 5, 1])
