"""What a user would have on the disk before the first command, laid out in a folder.

Each function gets the folder and `small`, with which it lays out less, to try a set. Public images
are those that MEDINV_DATA names; the rest is generated.
"""

import csv
import json
import os
import zipfile
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pydicom
from PIL import Image

from medinv.data.phantoms import Recipe, draw
from medinv.data.phantoms.ct import volume
from medinv.data.phantoms.dicom import ct_datasets

PHOTOGRAPHS = ("cat", "deer", "frog", "ship")  # classes of CIFAR-10
NUMBERS = {"cat": 3, "deer": 4, "frog": 6, "ship": 8}
CT_SEED = 1016  # of bodies that no shipped set has


def data(name: str) -> Path:
    """A file or folder below MEDINV_DATA."""
    return Path(os.environ["MEDINV_DATA"]).resolve() / name


def nothing(folder: Path, small: bool) -> None:
    """Where the input is used as it was published."""


def photographs(folder: Path, small: bool) -> None:
    """Colour PNGs, one folder a class."""
    with np.load(data("cifar10.npz")) as archive:
        images, labels = archive["x_test"], archive["y_test"]
    for name in PHOTOGRAPHS:
        (folder / "pictures" / name).mkdir(parents=True, exist_ok=True)
        for row in np.flatnonzero(labels == NUMBERS[name])[: 40 if small else 150]:
            Image.fromarray(images[row]).save(folder / "pictures" / name / f"{row:05d}.png")


def mednist(folder: Path, small: bool) -> None:
    """Some of each class, in the arrays that it is kept in."""
    with np.load(data("mednist_12k_64.npz")) as archive:
        held = {name: archive[name] for name in ("x", "y", "classes")}
    each = 20 if small else 150
    rows = np.concatenate([np.flatnonzero(held["y"] == k)[:each] for k in range(6)])
    np.savez(folder / "mednist.npz", x=held["x"][rows], y=held["y"][rows], classes=held["classes"])


def datalist(folder: Path, small: bool) -> None:
    """Films of children in three classes as a datalist of MONAI, patients and parts as given."""
    lists = defaultdict(list)
    for row in _films(20 if small else 100, "kind"):
        path = os.path.relpath(data("kermany_cxr_224") / row["path"], folder)
        entry = {"image": path, "label": row["kind"], "patient": row["patient"]}
        lists[row["split"]].append(entry)
    (folder / "datalist.json").write_text(json.dumps(lists, indent=1))


def large_films(folder: Path, small: bool) -> None:
    """A list of labels for films of 224 x 224 pixels."""
    rows = _films(24 if small else 60, "label")
    with (folder / "labels.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, ["path", "label", "patient", "split"], extrasaction="ignore")
        writer.writeheader()
        for row in rows:
            writer.writerow({**row, "path": data("kermany_cxr_224") / row["path"]})


def _films(most: int, column: str) -> list[dict[str, str]]:
    """At most so many training films of each word of a column, a third as many of other parts."""
    met, chosen = defaultdict(int), []
    with (data("kermany_cxr_224") / "labels.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            key = row[column], row["split"]
            met[key] += 1
            if met[key] <= (most if row["split"] == "training" else most // 3):
                chosen.append(row)
    return chosen


def contrast_list(folder: Path, small: bool) -> None:
    """The list that comes with the CT slices, out of their zip."""
    with zipfile.ZipFile(data("dicom/ct_contrast100.zip")) as archive:
        (name,) = (each for each in archive.namelist() if each.endswith("overview.csv"))
        (folder / "overview.csv").write_bytes(archive.read(name))


def contrast_arrays(folder: Path, small: bool) -> None:
    """The same slices as an npz of 16 bits: sixteenths of a Hounsfield unit above -1024."""
    images, labels, patients = list[np.ndarray](), list[str](), list[str]()
    with zipfile.ZipFile(data("dicom/ct_contrast100.zip")) as archive:
        for name in sorted(each for each in archive.namelist() if each.endswith(".dcm")):
            with archive.open(name) as file:
                slice_ = pydicom.dcmread(file)
            units = slice_.pixel_array * float(slice_.RescaleSlope) + float(slice_.RescaleIntercept)
            images.append((np.clip(units + 1024, 0, 4095) * 16).astype(np.uint16))
            labels.append("contrast" if "CONTRAST_1" in name else "plain")
            patients.append(str(slice_.PatientID))
    arrays = {"images": np.stack(images), "labels": np.array(labels), "patient": np.array(patients)}
    np.savez(folder / "slices.npz", **arrays)


def volumes(folder: Path, small: bool) -> None:
    """CT series of generated bodies, half of them with consolidations, and a list by study."""
    recipe = Recipe(opacity_share=0.5, subtle_share=0.0, kinds=("consolidation",))
    rows = list[tuple[str, str]]()
    for number in range(16 if small else 48):
        phantom = draw(CT_SEED, number, recipe)
        place = folder / "series" / f"{number:03d}"
        slices = ct_datasets(phantom, volume(phantom, slices=16, size=32))
        if not place.is_dir():
            place.mkdir(parents=True)
            for position, each in enumerate(slices):
                each.save_as(place / f"{position:02d}.dcm", enforce_file_format=True)
        rows.append((str(slices[0].StudyInstanceUID), ("clear", "opacity")[phantom.label]))
    _listed(folder / "labels.csv", ("StudyInstanceUID", "label"), rows)


def _listed(path: Path, heading: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([heading, *rows])
