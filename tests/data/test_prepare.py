"""From films and a list of labels to a set, with all that can go wrong."""

import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from dicom_samples import write
from prepare_runs import manifest, refused, run

from medinv.data.frame import InputSpec
from medinv.data.intake import ReadRequest, read_frames
from medinv.data.prepare.prepare import Wish, prepare
from medinv.data.prepare.read import read_here
from medinv.data.prepare.sources import Ask, open_source
from medinv.data.sets.info import About
from medinv.data.sets.prepared import read_set
from medinv.errors import ConfigError, DataError, NothingEligibleError

PRESENTATION = "1.2.840.10008.5.1.4.1.1.1.1"
Film = Callable[..., Path]


@pytest.fixture
def film(tmp_path) -> Film:
    """Writes a film of a patient, one study each unless told otherwise."""

    def make(name: str, patient: int, seed: int | None = None, **elements: object) -> Path:
        number = sum(map(ord, name)) * 1000 + patient
        rng = np.random.default_rng(number if seed is None else seed)
        pixels = rng.integers(0, 4000, (40, 32)).astype(np.uint16)
        given = {
            "SOPClassUID": PRESENTATION,
            "StudyInstanceUID": f"1.7.{number}",
            "SeriesInstanceUID": f"1.7.{number}.1",
            "SOPInstanceUID": f"1.7.{number}.1.1",
            "PatientID": f"MRN-{patient:04d}",
            "PatientName": f"Doe{patient}",
            "Manufacturer": "ACME",
        }
        return write(tmp_path / "in" / name, pixels, **(given | elements))

    return make


@pytest.fixture
def cohort(film, tmp_path) -> Path:
    """Twelve patients of two films each, and their list keyed by path."""
    rows = ["path,label,sex,PatientName"]
    for patient in range(12):
        for view in "ab":
            film(f"p{patient:02d}{view}.dcm", patient)
            label = "ill" if patient % 2 else "well"
            rows.append(f"p{patient:02d}{view}.dcm,{label},{'FM'[patient % 3 > 0]},Doe{patient}")
    (tmp_path / "labels.csv").write_text("\n".join(rows))
    return tmp_path


def everything(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in (folder / "set").iterdir())


def test_films_are_taken_in_as_classify_takes_them(cohort) -> None:
    made = run(cohort)
    rows, images = manifest(cohort), np.load(cohort / "set" / "images.npy")
    assert made.broken == 0 and made.info.refused == {} and len(rows) == 24
    assert made.info.label_key == "column 'path', by path"
    assert made.info.classes == ("well", "ill") and made.info.columns == ("sex",)
    assert {row["manufacturer"] for row in rows} == {"ACME"}
    assert {row["modality"] for row in rows} == {"DX"}
    from medinv.data.dicom.index import index

    expected = {}
    spec = InputSpec(1, (16, 16))
    for instance in index([cohort / "in"]).instances:
        (frame,) = read_frames(instance, ReadRequest((), (spec,)))
        expected[frame.inputs[spec].tobytes()] = instance.sop_uid
    assert {image.tobytes() for image in images} == set(expected)
    data = read_set(cohort / "set").data  # raises where a patient stands in two parts
    assert [len(part) for part in (data.train, data.validation, data.test)] == [16, 4, 4]


def test_nobody_is_named_unless_asked_for(cohort) -> None:
    run(cohort)
    content = everything(cohort)
    for secret in (b"Doe", b"MRN", b"1.7.", b"p00a", str(cohort).encode()):
        assert secret not in content, secret
    run(cohort, phi=True, overwrite=True)
    assert b"1.7." in everything(cohort) and b"Doe1" in everything(cohort)


def test_the_same_command_makes_the_same_bytes(cohort) -> None:
    run(cohort)
    first = everything(cohort)
    run(cohort, overwrite=True)
    assert everything(cohort) == first
    run(cohort, overwrite=True, seed=5)
    assert everything(cohort) != first


@pytest.mark.parametrize(
    ("column", "value", "says"),
    [
        ("sop", lambda n, v: f"1.7.{n}.1.1", "SOP Instance UID"),
        ("series", lambda n, v: f"1.7.{n}.1", "series UID"),
        ("study", lambda n, v: f"1.7.{n}", "study UID"),
        ("id", lambda n, v: f"mrn-{n % 1000:04d}", "patient"),
        ("file", lambda n, v: v, "path"),
        ("scan", lambda n, v: v[:-4], "file name without its ending"),
    ],
)
def test_labels_are_keyed_by_any_name_of_an_image(cohort, column, value, says) -> None:
    rows = []
    for patient in range(12):
        for view in "ab":
            name = f"p{patient:02d}{view}.dcm"
            number = sum(map(ord, name)) * 1000 + patient
            rows.append(f"{'ill' if patient % 2 else 'well'};{value(number, name)}")
    (cohort / "labels.csv").write_text(f"label;{column}\n" + "\n".join(rows))
    made = run(cohort)
    assert made.info.label_key == f"column {column!r}, by {says}"
    assert sum(sum(part.values()) for part in made.info.counts.values()) == 24


def test_a_zip_is_read_in_place(cohort) -> None:
    with zipfile.ZipFile(cohort / "films.zip", "w") as archive:
        for path in (cohort / "in").iterdir():
            archive.write(path, f"deep/{path.name}")
    made = run(cohort, "films.zip")
    assert made.info.label_key == "column 'path', by file name"
    assert sum(made.info.counts["training"].values()) == 16


def test_what_is_not_in_the_set_is_counted_and_listed(cohort, film) -> None:
    film("unlabelled.dcm", 90)
    cut = film("cut.dcm", 91)
    cut.write_bytes(cut.read_bytes()[:-100])
    film("blank.dcm", 92, PixelData=bytes(40 * 32 * 2))
    (cohort / "in" / "notes.txt").write_text("hello")
    with (cohort / "labels.csv").open("a") as stream:
        stream.write("\ncut.dcm,ill,F,x\nblank.dcm,ill,F,x\nnowhere.dcm,ill,F,x\n")
        stream.write("p00a.dcm,ill,F,x\n")  # well before
    made = run(cohort)
    found = refused(cohort)
    assert {code: len(sources) for code, sources in found.items()} == {
        "no-label": 1,
        "pixel-data": 1,
        "blank": 1,
        "not-dicom": 1,
        "no-image": 1,
        "contradictory-labels": 1,
    }
    assert found["no-image"] == ["labels.csv: row 28"]
    assert made.info.refused == {code: len(sources) for code, sources in found.items()}
    assert made.broken == 2  # the cut file and the contradiction
    assert len(manifest(cohort)) == 23


def test_everything_unlabelled_is_an_error_and_leaves_nothing(cohort) -> None:
    (cohort / "labels.csv").write_text("path,label\nother/1.dcm,ill\n")
    with pytest.raises(DataError, match=r"other/1.dcm.*in/p00a.dcm"):
        run(cohort)
    assert not (cohort / "set").exists() and not list(cohort.glob(".set*"))


def test_no_image_at_all_is_nothing_eligible(tmp_path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.txt").write_text("x")
    (tmp_path / "labels.csv").write_text("path,label\na,b\n")
    with pytest.raises(NothingEligibleError, match="1 not-dicom"):
        run(tmp_path)


def test_rules_of_a_card_choose_and_their_reasons_are_listed(cohort, film) -> None:
    film("ct.dcm", 80, Modality="CT")
    (cohort / "rules.yaml").write_text("modalities: [DX]\n")
    made = run(cohort, rules=cohort / "rules.yaml")
    assert made.info.rules.modalities == ("DX",) and made.info.refused == {"modality": 1}
    (cohort / "rules.yaml").write_text("modality: [DX]\n")
    with pytest.raises(ConfigError, match="modality"):
        run(cohort, rules=cohort / "rules.yaml", overwrite=True)


def test_a_given_split_is_kept_and_checked(cohort) -> None:
    lines = (cohort / "labels.csv").read_text().splitlines()
    parts = [("train", "val", "test")[n // 2 % 12 % 6 // 2] for n in range(24)]
    rows = [f"{line},{part}" for line, part in zip(lines[1:], parts, strict=True)]
    (cohort / "labels.csv").write_text("\n".join([f"{lines[0]},split", *rows]))
    made = run(cohort)
    assert made.info.split == "as given"
    assert [sum(part.values()) for part in made.info.counts.values()] == [8, 8, 8]
    rows[1] = rows[1].replace(",train", ",test")  # the other film of the first patient
    (cohort / "labels.csv").write_text("\n".join([f"{lines[0]},split", *rows]))
    with pytest.raises(DataError, match=r"1 patients .*patient-\w{16} \(1 test, 1 training\)"):
        run(cohort, overwrite=True)


def test_a_column_of_patients_is_believed_and_a_disagreement_said(cohort) -> None:
    lines = (cohort / "labels.csv").read_text().splitlines()
    rows = [f"{line},case{n // 4}" for n, line in enumerate(lines[1:])]
    (cohort / "labels.csv").write_text("\n".join([f"{lines[0]},patient", *rows]))
    made = run(cohort)
    assert sum(made.info.patients.values()) == 6
    assert made.info.patients_from == "as given with the labels"
    assert any("several patients in their headers" in text for text in made.info.findings)


def test_one_image_under_two_names_is_one_patient(cohort, film) -> None:
    """The same pixels: whoever exported them renamed the patient."""
    film("again.dcm", 70, seed=sum(map(ord, "p00a.dcm")) * 1000)
    with (cohort / "labels.csv").open("a") as stream:
        stream.write("\nagain.dcm,well,F,x\n")
    made = run(cohort)
    twins = [row for row in manifest(cohort) if row["sha256"] in _twice(manifest(cohort))]
    assert len(twins) == 2 and len({(row["patient"], row["split"]) for row in twins}) == 1
    assert sum(made.info.patients.values()) == 12
    assert any("same label: 1" in text for text in made.info.findings)


def _twice(rows: list[dict]) -> set[str]:
    hashes = [row["sha256"] for row in rows]
    return {one for one in hashes if hashes.count(one) > 1}


def test_equal_pixels_with_two_labels_contradict(cohort, film) -> None:
    film("again.dcm", 70, seed=sum(map(ord, "p00a.dcm")) * 1000)
    with (cohort / "labels.csv").open("a") as stream:
        stream.write("\nagain.dcm,ill,F,x\n")
    made = run(cohort)
    assert made.info.refused == {"contradictory-images": 2} and made.broken == 2


def test_a_copy_of_a_file_with_another_label_contradicts(cohort) -> None:
    (cohort / "in" / "copy.dcm").write_bytes((cohort / "in" / "p00a.dcm").read_bytes())
    with (cohort / "labels.csv").open("a") as stream:
        stream.write("\ncopy.dcm,ill,F,x\n")
    assert run(cohort).info.refused == {"contradictory-labels": 1, "duplicate": 1}


def test_a_copy_that_is_listed_for_another_patient_joins_the_two(cohort) -> None:
    (cohort / "in" / "copy.dcm").write_bytes((cohort / "in" / "p00a.dcm").read_bytes())
    lines = (cohort / "labels.csv").read_text().splitlines()
    rows = [f"{line},{line[:3]}" for line in lines[1:]]
    (cohort / "labels.csv").write_text(
        "\n".join([f"{lines[0]},patient", *rows, "copy.dcm,well,F,x,p02"])
    )
    made = run(cohort)
    assert sum(made.info.patients.values()) == 11 and made.info.refused == {"duplicate": 1}


def test_a_class_absent_from_a_part_stops_before_anything_is_read(cohort) -> None:
    with pytest.raises(DataError, match="--allow-absent"):
        run(cohort, shares=(0.98, 0.01, 0.01), labels=_rare(cohort))
    assert not (cohort / "set").exists()
    made = run(cohort, shares=(0.5, 0.1, 0.4), labels=_rare(cohort), allow_absent=True)
    assert sum(part["rare"] for part in made.info.counts.values()) == 2


def _rare(folder: Path) -> str:
    """A list with a third class of one patient."""
    text = (folder / "labels.csv").read_text()
    for view in "ab":
        text = text.replace(f"p00{view}.dcm,well", f"p00{view}.dcm,rare")
    (folder / "rare.csv").write_text(text)
    return str(folder / "rare.csv")


def test_a_set_for_testing_alone(cohort) -> None:
    made = run(cohort, shares=(0.0, 0.0, 1.0))
    assert made.info.patients == {"training": 0, "validation": 0, "test": 12}
    data = read_set(cohort / "set").data
    assert len(data.test) == 24 and len(data.train) == 0


def test_ctrl_c_leaves_nothing(cohort) -> None:
    def stopped(requests):
        yield from read_here([next(iter(requests))])
        raise KeyboardInterrupt

    source = open_source(Ask((cohort / "in",), str(cohort / "labels.csv"), size="16"), stopped)
    with pytest.raises(KeyboardInterrupt):
        prepare(source, Wish(cohort / "set", About(name="x")))
    assert sorted(path.name for path in cohort.iterdir()) == ["in", "labels.csv"]


def test_folders_are_classes_and_folders_around_them_parts(film, tmp_path) -> None:
    for patient in range(12):
        part = ("train", "val", "test")[patient % 3]
        name = "ill" if patient % 2 else "normal"
        film(f"{part}/{name}/sub/{patient}.dcm", patient)
    made = run(tmp_path, labels="folders")
    assert made.info.label_key == "folders, one a class, and one a part"
    assert made.info.classes == ("normal", "ill") and made.info.split == "as given"
    assert all(sum(part.values()) == 4 for part in made.info.counts.values())


def test_folders_of_one_class_are_an_error(film, tmp_path) -> None:
    film("a/1.dcm", 1)
    film("a/2.dcm", 2)
    with pytest.raises(DataError, match="one folder a class"):
        run(tmp_path, labels="folders")


@pytest.mark.parametrize("size", ["130", "0", "8x8x8x8", "big", "128x"])
def test_sizes_that_networks_cannot_halve_are_refused(cohort, size) -> None:
    with pytest.raises(ConfigError, match="--size"):
        run(cohort, size=size)


def test_pixels_as_stored_are_not_hashed_for_a_set(cohort) -> None:
    """A quarter of the time of reading, for what no set says."""
    frames = []

    def read(requests):
        for answer in read_here(requests):
            frames.extend(answer.frames)
            yield answer

    source = open_source(Ask((cohort / "in",), str(cohort / "labels.csv"), size="16"), read)
    prepare(source, Wish(cohort / "set", About(name="test")))
    assert len(frames) == 24 and {frame.sha256 for frame in frames} == {""}
