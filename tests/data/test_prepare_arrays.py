"""An npz, a datalist and volumes become sets."""

import json
from pathlib import Path

import nibabel
import numpy as np
import pytest
from dicom_samples import write
from prepare_runs import manifest, run

from medinv.data.sets.prepared import read_set
from medinv.errors import ConfigError, DataError


def test_an_npz_keeps_its_parts_and_loses_what_training_shares_with_test(tmp_path) -> None:
    rng = np.random.default_rng(0)
    arrays = {}
    for part, count in (("train", 12), ("val", 6), ("test", 6)):
        arrays[f"{part}_images"] = rng.integers(0, 255, (count, 28, 28), np.uint8)
        arrays[f"{part}_labels"] = np.arange(count)[:, None] % 3
    arrays["train_images"][0] = arrays["test_images"][0]
    np.savez(tmp_path / "m.npz", **arrays)
    made = run(tmp_path, "m.npz", labels=None, size=None, classes=("a", "b", "c"))
    assert made.info.size == (28, 28) and made.info.refused == {"identical-images": 1}
    assert made.info.counts == {
        "training": {"a": 3, "b": 4, "c": 4},
        "validation": {"a": 2, "b": 2, "c": 2},
        "test": {"a": 2, "b": 2, "c": 2},
    }
    assert "NOT KNOWN" in made.info.patients_from
    data = read_set(tmp_path / "set").data
    assert np.array_equal(data.test.images[:, 0], arrays["test_images"])
    assert np.array_equal(data.train.images[:, 0], arrays["train_images"][1:])


@pytest.mark.parametrize("channels", [1, 3])
def test_an_npz_in_colour_is_kept_or_made_grey(tmp_path, channels) -> None:
    x = np.random.default_rng(0).integers(0, 255, (30, 16, 16, 3), np.uint8)
    np.savez(tmp_path / "m.npz", x=x, y=np.arange(30) % 2, patient=np.arange(30) // 2)
    made = run(tmp_path, "m.npz", labels=None, size=None, colour=channels == 3)
    assert made.info.channels == channels and sum(made.info.patients.values()) == 15
    images = np.load(tmp_path / "set" / "images.npy")
    luma = np.array([0.299, 0.587, 0.114]) if channels == 1 else None
    wanted = np.moveaxis(x, -1, 1) if luma is None else (x @ luma)[:, None]
    for image in images:
        assert np.abs(wanted - image).max((1, 2, 3)).min() <= 0.501


def test_sixteen_bits_of_an_npz_are_kept_and_of_files_refused(tmp_path) -> None:
    x = np.random.default_rng(0).integers(0, 65535, (30, 16, 16)).astype(np.uint16)
    np.savez(tmp_path / "m.npz", x=x, y=np.arange(30) % 2)
    with pytest.raises(DataError, match="--bits"):
        run(tmp_path, "m.npz", labels=None, size=None)
    assert run(tmp_path, "m.npz", labels=None, size=None, bits=16).info.bits == 16
    with pytest.raises(ConfigError, match="npz alone"):
        run(tmp_path, bits=16, overwrite=True)


@pytest.mark.parametrize(
    ("arrays", "says"),
    [
        ({"a": np.zeros(3)}, "it holds a"),
        ({"x": np.zeros((3, 8, 8)), "y": np.zeros(3)}, "float64"),
        ({"x": np.zeros((3, 8, 8), np.uint8), "y": np.zeros(2)}, "2 and 3"),
        ({"x": np.zeros((3, 8, 8), np.uint8), "y": np.zeros((3, 2))}, "several findings"),
    ],
)
def test_another_npz_is_refused_by_what_it_holds(tmp_path, arrays, says) -> None:
    np.savez(tmp_path / "m.npz", **arrays)
    with pytest.raises(DataError, match=says):
        run(tmp_path, "m.npz", labels=None, size=None)


def volumes(folder: Path, count: int = 9) -> None:
    """NIfTI volumes whose grey levels rise from feet to head, some of them stored head first."""
    folder.mkdir()
    for number in range(count):
        rng = np.random.default_rng(number)
        values = rng.normal(0, 3, (12, 20, 16)) + 100 * np.arange(16)
        affine = np.diag([2.0, 2.0, 3.0, 1.0])
        image = nibabel.Nifti1Image(values.astype(np.float32), affine)
        if number % 2:
            flipped = nibabel.orientations.axcodes2ornt(("P", "I", "L"))
            image = image.as_reoriented(
                nibabel.orientations.ornt_transform(
                    nibabel.orientations.io_orientation(affine), flipped
                )
            )
        nibabel.save(image, folder / f"v{number}.nii.gz")


def test_volumes_of_a_datalist_stand_upright_however_they_were_stored(tmp_path) -> None:
    volumes(tmp_path / "vol")
    entries = [
        {"image": f"vol/v{n}.nii.gz", "label": n // 2 % 2, "sex": "FM"[n % 2]} for n in range(9)
    ]
    tree = {
        "labels": {"0": "clear", "1": "nodule"},
        "training": entries[:5],
        "test": [*entries[5:], {"image": "vol/gone.nii.gz", "label": 1}],
    }
    (tmp_path / "list.json").write_text(json.dumps(tree))
    made = run(tmp_path, "list.json", labels=None, size="8x16x12", allow_absent=True)
    assert made.info.size == (8, 16, 12) and made.info.classes == ("clear", "nodule")
    assert made.info.columns == ("sex",) and made.info.rules.selection.takes == "volume"
    assert made.info.refused == {"missing": 1, "no-image": 1}
    images = np.load(tmp_path / "set" / "images.npy").astype(int)
    planes = images.mean((1, 3, 4))
    assert (np.diff(planes, axis=1) > 10).all(), "the head must come last in every volume"


def test_series_of_slices_become_volumes(tmp_path) -> None:
    rows = ["series,label"]
    for number in range(9):
        for k in range(6):
            write(
                tmp_path / "in" / f"{number}" / f"{k}.dcm",
                np.full((24, 24), 100 * k, np.uint16) + np.eye(24, dtype=np.uint16) * 90 * number,
                SOPClassUID="1.2.840.10008.5.1.4.1.1.2",
                Modality="CT",
                StudyInstanceUID=f"1.8.{number}",
                SeriesInstanceUID=f"1.8.{number}.1",
                SOPInstanceUID=f"1.8.{number}.1.{k}",
                PatientID=f"P{number}",
                PatientName=f"N{number}",
                ImageOrientationPatient=[1, 0, 0, 0, 1, 0],
                ImagePositionPatient=[0, 0, 5.0 * k if k < 5 or number else 60],
                PixelSpacing=[1, 1],
            )
        rows.append(f"1.8.{number}.1,{'ab'[number % 2]}")
    (tmp_path / "labels.csv").write_text("\n".join(rows))
    made = run(tmp_path, size="4x8x8", allow_absent=True)
    assert made.info.label_key == "column 'series', by series UID"
    assert made.info.refused == {"data": 1} and made.broken == 1  # slices are missing in the first
    assert len(manifest(tmp_path)) == 8
    images = np.load(tmp_path / "set" / "images.npy").astype(int)
    assert (np.diff(images.mean((1, 3, 4)), axis=1) > 10).all()


def test_a_datalist_of_segmentation_is_refused(tmp_path) -> None:
    tree = {"training": [{"image": "a.nii.gz", "label": "a_seg.nii.gz"}]}
    (tmp_path / "list.json").write_text(json.dumps(tree))
    with pytest.raises(DataError, match="segmentation"):
        run(tmp_path, "list.json", labels=None)
