"""Phantom studies as a user meets them: DICOM read by pydicom and by the project's own front,
masks, CT, and the committed samples.
"""

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.pixels import apply_voi_lut
from typer.testing import CliRunner

from medinv.cli.data import app
from medinv.data import phantoms
from medinv.data.dicom.index import index
from medinv.data.dicom.pixels import read_pixels
from medinv.data.phantoms import Anatomy, Exposure, Opacity, Phantom, radiograph, tissue
from medinv.data.phantoms.ct import volume
from medinv.data.phantoms.dicom import Format, ct_datasets, radiograph_dataset
from medinv.data.phantoms.radiograph import STORED_OFFSET, STORED_PER_LOG, area_resize
from medinv.data.phantoms.sets import thumbnail
from medinv.data.phantoms.studies import PLANS, write_study
from medinv.errors import OutputError

SAMPLES = Path(__file__).parents[2] / "sample_data"
STUDY_WITH_CT = 1


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample study that has a CT series, made anew."""
    out = tmp_path_factory.mktemp("phantoms")
    plan = PLANS[STUDY_WITH_CT]
    phantom = phantoms.draw(phantoms.SAMPLE_SEED, STUDY_WITH_CT, plan.recipe)
    truth = write_study(out, "study-02", phantom, plan.form, ct=plan.ct)
    (out / "truth.json").write_text(json.dumps(truth))
    return out


def test_the_committed_study_comes_out_again_pixel_for_pixel(written: Path) -> None:
    names = sorted(p.relative_to(written) for p in written.rglob("*.dcm"))
    assert len(names) == 15
    for name in names:
        ours, committed = pydicom.dcmread(written / name), pydicom.dcmread(SAMPLES / name)
        assert ours.pixel_array.tobytes() == committed.pixel_array.tobytes()
        assert ours.SOPInstanceUID == committed.SOPInstanceUID
    for mask in written.rglob("*.png"):
        assert np.array_equal(
            np.asarray(Image.open(mask)), np.asarray(Image.open(SAMPLES / "truth" / mask.name))
        )
    truths = json.loads((SAMPLES / "truth" / "truth.json").read_text())
    assert json.loads((written / "truth.json").read_text()) == truths[STUDY_WITH_CT]


def test_the_samples_are_small_varied_and_described() -> None:
    truths = json.loads((SAMPLES / "truth" / "truth.json").read_text())
    assert {t["study"] for t in truths} == {p.name for p in (SAMPLES / "studies").iterdir()}
    assert {t["label"] for t in truths} == {"clear", "opacity"}
    assert {k for t in truths for k in t["kinds"]} == {"nodule", "consolidation", "ground-glass"}
    for t in truths:
        header = pydicom.dcmread(
            SAMPLES / "studies" / t["study"] / "radiograph.dcm", stop_before_pixels=True
        )
        mask = np.asarray(Image.open(SAMPLES / "truth" / f"{t['study']}-mask.png"))
        assert header.StudyInstanceUID == t["study_uid"] and mask.shape == (
            header.Rows,
            header.Columns,
        )
        assert int(mask.sum()) == t["mask_pixels"] and mask.any() == (t["label"] == "opacity")
        assert str(header.PatientName).startswith("PHANTOM^")
    listed = (SAMPLES / "truth" / "labels.csv").read_text().splitlines()
    assert listed == ["StudyInstanceUID,label", *(f"{t['study_uid']},{t['label']}" for t in truths)]
    assert sum(p.stat().st_size for p in SAMPLES.rglob("*") if p.is_file()) < 4e6


@pytest.mark.parametrize("number", [0, 3, 5])
def test_a_dicom_radiograph_becomes_the_training_image(number: int) -> None:
    """Digital, MONOCHROME1 and computed radiograph: pydicom, window, area average;
    and the project's own front.
    """
    name = f"study-{number + 1:02d}"
    path = SAMPLES / "studies" / name / "radiograph.dcm"
    ds = pydicom.dcmread(path)
    grey = np.round(apply_voi_lut(ds.pixel_array, ds) / (2**ds.BitsStored - 1) * 255)
    if ds.PhotometricInterpretation == "MONOCHROME1":
        grey = 255 - grey
    by_pydicom = area_resize(grey, 64)
    ours = read_pixels(index([path]).studies[0].instances[0]).display
    trained_on, _, _ = thumbnail(
        phantoms.draw(phantoms.SAMPLE_SEED, number, PLANS[number].recipe), 64
    )
    for image in (by_pydicom, area_resize(ours.astype(float), 64)):
        off = np.abs(image - trained_on)
        assert off.mean() < 1 and np.percentile(off, 99) < 5, "grey levels of 255"


def test_both_polarities_show_the_same_picture(tmp_path: Path) -> None:
    phantom = Phantom(6, 0)
    shot = radiograph(phantom, 64)
    shown = []
    for inverted in (False, True):
        path = tmp_path / f"{inverted}.dcm"
        radiograph_dataset(phantom, shot, Format(inverted=inverted)).save_as(
            path, enforce_file_format=True
        )
        shown.append(read_pixels(index([path]).studies[0].instances[0]).display)
    assert np.array_equal(shown[0], shot.display())
    assert np.abs(shown[0].astype(int) - shown[1]).max() <= 1


@pytest.mark.parametrize("syntax", ["explicit", "rle", "jpeg-ls", "jpeg-2000"])
def test_every_transfer_syntax_is_lossless(syntax: str, tmp_path: Path) -> None:
    phantom = Phantom(6, 1)
    shot = radiograph(phantom, 64)
    radiograph_dataset(phantom, shot, Format(syntax=syntax)).save_as(
        tmp_path / "a.dcm", enforce_file_format=True
    )
    assert np.array_equal(pydicom.dcmread(tmp_path / "a.dcm").pixel_array, shot.stored)


@pytest.mark.skipif(
    shutil.which("dciodvfy") is None, reason="dciodvfy (package dicom3tools) is not installed"
)
def test_the_validator_finds_no_error_in_any_sample() -> None:
    files = sorted(SAMPLES.rglob("*.dcm"))
    assert len(files) == 36
    for path in files:
        said = subprocess.run(
            ["dciodvfy", "-new", str(path)], capture_output=True, text=True, check=False
        )
        assert "Error" not in said.stdout + said.stderr, path.name


def test_ct_and_radiograph_are_of_one_body() -> None:
    """The CT's attenuation summed from front to back is the radiograph's
    -log(I / I0) in the same place.
    """
    phantom = Phantom(6, 2, Anatomy(arms_up=True), Exposure(scatter=0.0, photons=1e12, blur=0.0))
    scan, size = volume(phantom, 8, 128), 512
    shot = radiograph(phantom, size)
    logs = (shot.stored - STORED_OFFSET) / STORED_PER_LOG
    mu = tissue.WATER + scan.hu / 1000 * (tissue.WATER - tissue.AIR)
    summed = mu.sum(1) * scan.pixel / 10
    columns = np.flatnonzero(np.abs(scan.start + np.arange(128) * scan.pixel) < 120)
    for z, row_sums in zip(scan.positions[1:-1], summed[1:-1], strict=True):
        half = scan.thickness / 2
        rows = slice(
            round(size / 2 - (z + half) / shot.spacing), round(size / 2 - (z - half) / shot.spacing)
        )
        x = (scan.start + columns * scan.pixel) / shot.spacing + (size - 1) / 2
        seen = np.interp(x, np.arange(size), logs[rows].mean(0))
        assert (
            np.median(np.abs(row_sums[columns] - seen)) < 0.06
            and abs((row_sums[columns] - seen).mean()) < 0.06
        )


def test_the_ct_mask_lies_where_the_opacity_was_planted() -> None:
    centre = (6.5, 1.0, 2.0)
    scan = volume(
        Phantom(6, 3, opacities=(Opacity("nodule", centre, (2.2, 2.2, 2.2), 0.15),)), 16, 96
    )
    slices, rows, columns = np.nonzero(scan.mask)
    found = (
        scan.start + columns.mean() * scan.pixel,
        scan.start + rows.mean() * scan.pixel,
        scan.positions[slices].mean(),
    )
    assert found == pytest.approx([10 * c for c in centre], abs=5)
    inside, lung = scan.hu[scan.mask].mean(), tissue.hounsfield(tissue.LUNG)
    assert lung + 400 < inside < 200


def test_the_ct_series_has_ordered_geometry(written: Path) -> None:
    slices = [
        pydicom.dcmread(p) for p in sorted((written / "studies" / "study-02" / "ct").glob("*.dcm"))
    ]
    heights = np.array([float(s.ImagePositionPatient[2]) for s in slices])
    assert (np.diff(heights) > 0).all() and np.ptp(np.diff(heights)) < 1e-3
    assert (
        len({s.SeriesInstanceUID for s in slices}) == 1
        and len({s.FrameOfReferenceUID for s in slices}) == 1
    )
    hu = np.stack(
        [s.pixel_array * float(s.RescaleSlope) + float(s.RescaleIntercept) for s in slices]
    )
    assert abs(np.median(hu[:, :5, 50:80]) + 1000) < 15, "air"
    study = {s.StudyInstanceUID for s in slices} | {
        pydicom.dcmread(written / "studies" / "study-02" / "radiograph.dcm").StudyInstanceUID
    }
    assert len(study) == 1


def test_ct_values_are_signed_sixteen_bits() -> None:
    phantom = Phantom(6, 4, Anatomy(scale=0.6))
    scan = volume(phantom, 2, 32)
    ds = ct_datasets(phantom, scan)[0]
    assert ds.pixel_array.dtype == np.int16
    assert np.array_equal(ds.pixel_array + int(ds.RescaleIntercept), scan.hu[0])


def test_the_command_writes_studies_and_tells_their_truth(tmp_path: Path) -> None:
    said = CliRunner().invoke(
        app,
        ["phantoms", "--out", str(tmp_path / "out"), "--studies", "2", "--seed", "77", "--no-ct"],
    )
    assert said.exit_code == 0, said.output
    assert "study-02  opacity" in said.output and "not for diagnosis" in said.output
    assert sorted(p.name for p in (tmp_path / "out" / "studies").iterdir()) == [
        "study-01",
        "study-02",
    ]
    assert not list(tmp_path.rglob("*.part"))


def test_the_command_warns_of_a_training_seed(tmp_path: Path) -> None:
    said = CliRunner().invoke(
        app,
        [
            "phantoms",
            "--out",
            str(tmp_path),
            "--studies",
            "1",
            "--seed",
            str(phantoms.TRAIN_SEED),
            "--no-ct",
        ],
    )
    assert said.exit_code == 0 and "training" in said.output


def test_a_folder_that_cannot_be_made_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match="choose a folder"):
        write_study(tmp_path / "file", "study-01", Phantom(6, 5))
