"""A prepared set: written whole or not at all, and read as it was written."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from medinv.cli.serve import _folder as own_folder
from medinv.config import PreparedData, load_config
from medinv.data.prepare.write import Content, Refused, folder_made, write_set
from medinv.data.sets.info import About, read_info
from medinv.data.sets.load import load_images, source_of
from medinv.data.sets.prepared import read_set
from medinv.errors import DataError, MissingDataError, OutputError
from medinv.files import whole


def content(count: int = 24, size: tuple[int, ...] = (16, 16), **more) -> Content:
    """Three classes of images, four images a patient in turn, parts mixed up."""
    images = np.random.default_rng(0).integers(0, 255, (count, 1, *size), dtype=np.uint8)
    patients = [f"patient-{n // 4}" for n in range(count)]
    splits = [("test", "training", "validation")[n // 4 % 3] for n in range(count)]
    labels = [("benign", "malignant", "normal")[n % 3] for n in range(count)]
    return Content(images, labels, splits, patients, **more)


@pytest.fixture
def made(tmp_path):
    columns = {"sex": ["F", "M"] * 12, "age": [*range(23), float("nan")]}
    masks = np.random.default_rng(1).choice(np.uint8([0, 255]), (24, 1, 16, 16))
    given = content(columns=columns, masks=masks, refused=[Refused("image-x", "pixel-data", "cut")])
    info = write_set(tmp_path / "set", given, About(name="three"))
    return given, info, tmp_path / "set"


def test_what_was_written_comes_back_by_part(made) -> None:
    given, info, folder = made
    data = read_set(folder).data
    names = ("training", "validation", "test")
    parts = zip(names, (data.train, data.validation, data.test), strict=True)
    for name, part in parts:
        rows = np.flatnonzero(np.array(given.splits) == name)
        assert np.array_equal(part.images, given.images[rows])
        assert np.array_equal(part.masks, given.masks[rows])
        assert [info.classes[k] for k in part.labels] == [given.labels[n] for n in rows]
        assert list(part.columns["sex"]) == [given.columns["sex"][n] for n in rows]
        assert len(np.unique(part.patients)) == 2 == info.patients[name]
        np.testing.assert_array_equal(part.columns["age"], np.array(given.columns["age"])[rows])
        assert isinstance(part.images, np.memmap), "images must stay on the disk"
    assert info.sha256 == data.sha256()
    training = given.images[np.array(given.splits) == "training"]
    assert info.mean == (round(training.mean(), 4),) and info.std == (round(training.std(), 4),)
    assert info.counts["test"] == {"benign": 4, "malignant": 2, "normal": 2}
    assert info.refused == {"pixel-data": 1} and info.columns == ("sex", "age")
    assert (folder / "refused.csv").read_text().splitlines()[1] == "image-x,pixel-data,cut"


def test_a_configuration_finds_the_set_beside_it(made, tmp_path, configs) -> None:
    text = (configs / "phantom-opacity.yaml").read_text()
    (tmp_path / "c.yaml").write_text(text)
    settings = load_config(tmp_path / "c.yaml", ("data={set: prepared, folder: set, size: 16}",))
    assert isinstance(settings.data, PreparedData) and source_of(settings.data)
    assert len(load_images(settings.data).train) == 8
    elsewhere = load_config(
        tmp_path / "c.yaml", (f"data={{set: prepared, folder: {tmp_path / 'set'}, size: 16}}",)
    )
    assert settings.sha256() == elsewhere.sha256()
    with pytest.raises(DataError, match="16 x 16"):
        load_images(PreparedData(folder=str(tmp_path / "set"), size=32))


def test_nothing_is_left_of_a_set_that_failed(tmp_path) -> None:
    with pytest.raises(KeyboardInterrupt), folder_made(tmp_path / "set") as folder:
        (folder / "images.npy").write_bytes(b"half")
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("made_by", "begin"),
    [
        ("mkdir", lambda place: folder_made(place / "set")),
        ("open", lambda place: whole(place / "file")),
        ("mkdir", lambda place: own_folder(None)),
    ],
    ids=["set", "file", "server"],
)
def test_an_interrupt_at_the_moment_something_is_made_leaves_nothing(
    tmp_path, monkeypatch, made_by, begin
) -> None:
    make = getattr(os, made_by)

    def interrupted(path, *arguments, **more):
        done = make(path, *arguments, **more)
        if Path(path).name.startswith(".") or made_by == "mkdir":
            raise KeyboardInterrupt
        return done

    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(os, made_by, interrupted)
    with pytest.raises(KeyboardInterrupt), begin(tmp_path):
        pass
    monkeypatch.undo()
    assert list(tmp_path.iterdir()) == []


def test_only_a_set_is_replaced_and_only_when_told(made, tmp_path) -> None:
    with pytest.raises(OutputError, match="--overwrite"):
        write_set(tmp_path / "set", content(), About(name="other"))
    write_set(tmp_path / "set", content(12), About(name="other"), overwrite=True)
    assert read_info(tmp_path / "set").name == "other"
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "dear.jpeg").write_bytes(b"")
    with pytest.raises(OutputError, match="something else"):
        write_set(tmp_path / "photos", content(), About(name="other"), overwrite=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["photos", "set"]


def _spoil_labels(folder: Path) -> None:
    tree = json.loads((folder / "dataset.json").read_text())
    tree["classes"] = ["benign", "malignant"]
    (folder / "dataset.json").write_text(json.dumps(tree))


def _spoil_images(folder: Path) -> None:
    content = (folder / "images.npy").read_bytes()
    (folder / "images.npy").write_bytes(content[:-100])


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (_spoil_labels, "normal"),
        (_spoil_images, "damaged"),
        (lambda folder: (folder / "manifest.parquet").write_bytes(b"PAR1"), "damaged"),
        (lambda folder: (folder / "masks.npy").unlink(), "masks.npy"),
        (lambda folder: (folder / "dataset.json").write_text("{}"), "description"),
    ],
)
def test_a_damaged_set_is_refused_by_name(made, spoil, says) -> None:
    spoil(made[2])
    with pytest.raises(DataError, match=says):
        read_set(made[2])


def test_no_set_is_said_to_be_none(tmp_path) -> None:
    with pytest.raises(MissingDataError, match="medinv prepare"):
        read_set(tmp_path)


def test_a_patient_in_two_parts_is_no_set(tmp_path) -> None:
    given = content()
    with pytest.raises(DataError, match="by patient"):
        write_set(
            tmp_path / "set",
            Content(given.images, given.labels, given.splits, ["one"] * 24),
            About(name="leaks"),
        )
    assert not list(tmp_path.iterdir())


def test_volumes_and_sixteen_bits_are_kept(tmp_path) -> None:
    given = content(size=(8, 16, 24))
    wide = Content(given.images.astype(np.uint16) * 257, given.labels, given.splits, given.patients)
    info = write_set(tmp_path / "set", wide, About(name="wide"))
    assert info.bits == 16 and info.size == (8, 16, 24)
    assert read_set(tmp_path / "set").data.train.images.dtype == np.uint16
