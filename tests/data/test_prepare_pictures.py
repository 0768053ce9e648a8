"""Pictures without a header, and masks and boxes beside images, become sets."""

from pathlib import Path

import numpy as np
import pytest
from dicom_samples import write
from PIL import Image
from prepare_runs import manifest, refused, run

from medinv.data.prepare.masks import MaskSource
from medinv.data.resize import resize
from medinv.data.sets.info import read_info
from medinv.data.sets.prepared import read_set
from medinv.errors import ConfigError, DataError


def picture(path: Path, seed: int, *, colour: bool = False, shape=(40, 32)) -> np.ndarray:
    levels = np.random.default_rng(seed).integers(
        0, 255, (*shape, 3) if colour else shape, np.uint8
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(levels).save(path)
    return levels


@pytest.fixture
def folders(tmp_path) -> Path:
    for number in range(20):
        name = ("normal", "ill")[number % 2]
        picture(tmp_path / "in" / name / f"{number}.png", number)
    return tmp_path


def test_one_folder_a_class_and_each_picture_a_patient_said_loudly(folders) -> None:
    made = run(folders, labels="folders")
    assert made.info.classes == ("normal", "ill") and made.broken == 0
    assert "NOT KNOWN" in made.info.patients_from and sum(made.info.patients.values()) == 20
    data = read_set(folders / "set").data
    held = {image.tobytes(): k for part in (data.train, data.test) for image, k in _pairs(part)}
    for number in range(20):
        name = ("normal", "ill")[number % 2]
        with Image.open(folders / "in" / name / f"{number}.png") as stored:
            image = resize(np.asarray(stored), 16)
        assert held.get(image.tobytes(), number % 2) == number % 2
    assert len(held) > 15


def _pairs(part):
    return zip(part.images, part.labels, strict=True)


def test_a_list_names_the_patients_of_pictures(folders) -> None:
    rows = [f"in/{('normal', 'ill')[n % 2]}/{n}.png,{n % 2},p{n % 10}" for n in range(20)]
    (folders / "labels.csv").write_text("file,class,patient\n" + "\n".join(rows))
    made = run(folders)
    assert sum(made.info.patients.values()) == 10
    assert made.info.patients_from == "as given with the labels"
    assert made.info.classes == ("0", "1")


def test_colour_is_kept_where_asked_for_and_grey_repeated(tmp_path) -> None:
    colours = {n: picture(tmp_path / "in" / "ab"[n % 2] / f"{n}.png", n, colour=True)
               for n in range(20)}  # fmt: skip
    picture(tmp_path / "in" / "a" / "grey.png", 99)
    made = run(tmp_path, labels="folders", colour=True)
    assert made.info.channels == 3 and made.info.rules.channels == 3
    images = np.load(tmp_path / "set" / "images.npy")
    held = {image.tobytes() for image in images}
    assert all(resize(levels, (16, 16)).tobytes() in held for levels in colours.values())
    assert sum((image[0] == image[1]).all() for image in images) == 1
    grey = run(tmp_path, labels="folders", overwrite=True)
    assert grey.info.channels == 1 and sum(map(sum, map(dict.values, _counts(grey)))) == 21


def _counts(made):
    return made.info.counts.values()


def test_rules_refuse_colour_where_they_say_so(tmp_path) -> None:
    for number in range(20):
        picture(tmp_path / "in" / "ab"[number % 2] / f"{number}.png", number)
    picture(tmp_path / "in" / "a" / "colour.png", 98, colour=True)
    (tmp_path / "rules.yaml").write_text("selection: {colour: refuse}")
    made = run(tmp_path, labels="folders", rules=tmp_path / "rules.yaml")
    assert refused(tmp_path) == {"colour": ["in/a/colour.png"]} and made.broken == 0


def test_a_damaged_picture_stops_nothing(folders) -> None:
    whole = (folders / "in" / "ill" / "1.png").read_bytes()
    (folders / "in" / "ill" / "1.png").write_bytes(whole[: len(whole) // 2])
    made = run(folders, labels="folders")
    assert made.broken == 1 and refused(folders) == {"pixel-data": ["in/ill/1.png"]}


def masks(folder: Path, *structures: str) -> dict[int, np.ndarray]:
    """A square in a place of its own for every picture but the last, in several files."""
    made = {}
    folder.mkdir(exist_ok=True)
    for number in range(19):
        square = np.zeros((40, 32), np.uint8)
        square[number : number + 10, 8:24] = 1
        made[number] = square
        for structure in structures:
            Image.fromarray(square * 255).save(folder / f"{number}{structure}.png")
            square = np.zeros_like(square)  # the second structure is empty
    return made


@pytest.mark.parametrize("names", [("",), ("_mask",), ("_lesion", "_lung")])
def test_masks_lie_beside_their_images(folders, names) -> None:
    given = masks(folders / "masks", *names)
    made = run(folders, labels="folders", masks=MaskSource(folders / "masks"))
    assert made.info.masks and "images without a mask: 1" in made.info.findings
    found = np.load(folders / "set" / "masks.npy")
    assert set(np.unique(found)) == {0, 255}
    rows = [row["image"] for row in manifest(folders)]
    for number, square in given.items():
        name = f"in/{('normal', 'ill')[number % 2]}/{number}.png"
        wanted = resize(square * 255, (16, 16)) >= 128
        assert np.array_equal(found[rows.index(name)] == 255, wanted), number


def test_only_the_structures_that_were_named_count(folders) -> None:
    masks(folders / "masks", "_lesion", "_lung")
    run(folders, labels="folders", masks=MaskSource(folders / "masks", ("lung",)))
    assert not np.load(folders / "set" / "masks.npy").any()
    with pytest.raises(ConfigError, match=r"no mask of x .*7_x.png of 7.dcm"):
        run(folders, labels="folders", masks=MaskSource(folders / "in" / ".."/"masks", ("x",)),
            overwrite=True)  # fmt: skip
    assert read_info(folders / "set").masks, "the set that stood there must still stand"


def test_boxes_are_filled(folders) -> None:
    (folders / "boxes.csv").write_text(
        "path,left,top,width,height\n3.png,0,0,16,20\n3.png,16,20,16,20\nin/normal/4.png,-5,-5,9,9\n"
    )
    run(folders, labels="folders", masks=MaskSource(folders / "boxes.csv"))
    found = np.load(folders / "set" / "masks.npy")
    rows = [row["image"] for row in manifest(folders)]
    three = found[rows.index("in/ill/3.png"), 0] > 0
    assert three[:8, :8].all() and three[8:, 8:].all() and not three[:8, 8:].any()
    assert (found > 0).any((1, 2, 3)).sum() == 2


def test_a_mask_of_another_shape_is_left_out_and_said(folders) -> None:
    masks(folders / "masks", "")
    Image.fromarray(np.full((10, 30), 255, np.uint8)).save(folders / "masks" / "5.png")
    made = run(folders, labels="folders", masks=MaskSource(folders / "masks"))
    assert any("another shape" in text and text.endswith(": 1") for text in made.info.findings)
    for mask in (folders / "masks").iterdir():
        Image.fromarray(np.full((10, 30), 255, np.uint8)).save(mask)
    with pytest.raises(ConfigError, match=r"not one of \d+ is a picture of its image's shape"):
        run(folders, labels="folders", masks=MaskSource(folders / "masks"), overwrite=True)


def test_a_mask_of_a_film_is_turned_with_it(tmp_path) -> None:
    """A film that is stored mirrored is shown as it hangs, its mask with it."""
    (tmp_path / "masks").mkdir()
    for number in range(12):
        levels = np.random.default_rng(number).integers(0, 900, (32, 32)).astype(np.uint16)
        levels[:, :8] += 3000  # bright where the mask is
        write(
            tmp_path / "in" / "ab"[number % 2] / f"{number}.dcm",
            levels,
            SOPClassUID="1.2.840.10008.5.1.4.1.1.1.1",
            StudyInstanceUID=f"1.9.{number}",
            SeriesInstanceUID=f"1.9.{number}.1",
            SOPInstanceUID=f"1.9.{number}.2",
            PatientID=f"P{number}",
            PatientName=f"N{number}",
            PatientOrientation=["R", "F"] if number % 3 else ["L", "F"],
            ViewPosition="PA",
        )
        mask = np.zeros((32, 32), np.uint8)
        mask[:, :8] = 255
        Image.fromarray(mask).save(tmp_path / "masks" / f"{number}.png")
    run(tmp_path, labels="folders", masks=MaskSource(tmp_path / "masks"))
    images = np.load(tmp_path / "set" / "images.npy")
    found = np.load(tmp_path / "set" / "masks.npy")
    assert np.array_equal(found > 0, images > 128)
    assert len({mask.tobytes() for mask in found}) == 2


def test_a_folder_of_masks_without_one_of_these_images_is_an_error(folders) -> None:
    with pytest.raises((ConfigError, DataError), match="no such folder"):
        run(folders, labels="folders", masks=MaskSource(folders / "nowhere"))
    (folders / "others").mkdir()
    with pytest.raises(ConfigError, match=r"7_mask.png of 7.dcm"):
        run(folders, labels="folders", masks=MaskSource(folders / "others"))
