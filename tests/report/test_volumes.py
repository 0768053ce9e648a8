"""A series of slices through the shipped model of volumes: its row, its page, its DICOM results."""

import json
import random
import re
from pathlib import Path

import highdicom as hd
import numpy as np
import pydicom
import pytest
from pydicom import Dataset

import medinv
from medinv.batch.options import Options
from medinv.batch.run import run
from medinv.data.dicom.index import index
from medinv.data.phantoms import Phantom, Recipe, draw
from medinv.data.phantoms.ct import Scanner, volume
from medinv.data.phantoms.dicom import ct_datasets
from medinv.data.sets.phantom_ct import network_inputs, scanned
from medinv.explanation.explain import explain
from medinv.models.store import load_invertible
from medinv.report.write import Reports

NAME, SEED = "phantom-ct", 1020  # of bodies that no set has
DENSE = Recipe(1.0, 0.0, ("consolidation",))
NEAR = 30.0  # mm, of a network voxel or two


@pytest.fixture(scope="module")
def model():
    """The shipped one."""
    return load_invertible(NAME)


def write(folder: Path, phantom: Phantom, slices: int, side: int) -> list[Dataset]:
    """A series without gaps."""
    folder.mkdir(parents=True)
    made = ct_datasets(phantom, volume(phantom, slices, side, Scanner(share=1.0, points=20)))
    for k, dataset in enumerate(made):
        dataset.save_as(folder / f"{k:03d}.dcm", enforce_file_format=True)
    return made


@pytest.fixture(scope="module")
def ill(tmp_path_factory) -> tuple[Path, Phantom]:
    """A series of a body with one consolidation, whose evidence passes its check."""
    phantom = draw(SEED, 6, DENSE)
    folder = tmp_path_factory.mktemp("ill") / "series"
    write(folder, phantom, 20, 64)
    return folder, phantom


@pytest.fixture(scope="module")
def made(model, ill, tmp_path_factory) -> tuple[dict, Path]:
    """The row with report and DICOM results, and where they lie."""
    out, renderers = tmp_path_factory.mktemp("out"), Reports()
    options = Options(
        out, renderers={"report": renderers.reports, "dicom": renderers.dicom}, phi=True
    )
    (row,) = run(index([ill[0]]), [model], options).results
    assert row.status == "ok" and row.label == "opacity" and row.report, row.warnings
    return row, (out / row.report).parent


def test_shuffled_names_give_the_same_row(model, ill, tmp_path: Path) -> None:
    paths = sorted(ill[0].iterdir())
    random.Random(1).shuffle(paths)
    for k, path in enumerate(paths):
        (tmp_path / f"{k:03d}.dcm").write_bytes(path.read_bytes())
    one, other = (medinv.classify(folder, model)[0].row() for folder in (ill[0], tmp_path))
    for row in (one, other):
        row.pop("seconds")
        row["instances"][0].pop("path")
    assert one == other


def test_what_is_no_whole_series_gets_no_label_and_says_why(model, ill, tmp_path: Path) -> None:
    paths = sorted(ill[0].iterdir())
    kept = {"gap": [path for k, path in enumerate(paths) if k != 9], "short": paths[:6]}
    for name, some in kept.items():
        folder = tmp_path / name
        folder.mkdir()
        for path in some:
            (folder / path.name).write_bytes(path.read_bytes())
    (gap,), (short,) = (medinv.classify(tmp_path / name, model) for name in kept)
    assert gap.status == "failed" and "missing-slices" in gap.error.message
    assert short.status == "skipped" and short.error.code == "slices" and short.label is None


def test_two_frames_of_reference_are_never_one_volume(model, ill, tmp_path: Path) -> None:
    """Where the one lies against the other nobody can say; what is not read is told everywhere."""
    for k, path in enumerate(sorted(ill[0].iterdir())):
        dataset = pydicom.dcmread(path)
        if k >= 7:
            dataset.FrameOfReferenceUID = "1.2.3"
        dataset.save_as(tmp_path / path.name)
    out = tmp_path / "out"
    options = Options(out, renderers={"report": Reports().reports})
    (row,) = run(index([tmp_path]), [model], options).results
    assert [one.intake[:19] for one in row.instances] == ["13 x 64 x 64 voxels"]
    said = (
        "7 of the 20 images of series 1 left out, which differ from those that are read in frame "
        "of reference: slices 7 images (this model reads 12 to 400)"
    )
    folder = (out / row.report).parent
    assert said in row.warnings and len(row.skipped) == 7
    assert said in json.loads((folder / "report.json").read_text())["warnings"]
    assert said in (folder / "report.html").read_text()


def test_other_grids_of_one_body_are_read_alike(model, ill, tmp_path: Path) -> None:
    write(tmp_path / "series", ill[1], 41, 97)
    (coarse,), (fine,) = (medinv.classify(folder, model) for folder in (ill[0], tmp_path))
    assert fine.in_scope and fine.label == coarse.label == "opacity"
    assert "41 x 97 x 97 voxels" in fine.instances[0].intake


def test_the_page_names_the_slice_and_shows_all(made) -> None:
    _, folder = made
    page, facts = (
        (folder / "report.html").read_text(),
        json.loads((folder / "report.json").read_text()),
    )
    drawn = facts["images"][0]["drawn"]
    first, last = drawn["series_slices"]  # of 20, of which the network was given 16 means
    assert (drawn["slices"], drawn["series_length"]) == (16, 20) and last in (first, first + 1)
    assert first - 1 <= (drawn["slice"] - 0.5) * 20 / 16 <= last
    assert f"Slices {first} and {last} of 20 from the feet, " in page
    assert re.search(r"from the feet, (front|middle|back) third", page)
    assert "All slices" in page and drawn["left_edge"] == "R" and drawn["rows"] == 64
    local = facts["images"][0]["explanation"]["local_evidence"]
    parts = (local[key]["value"] for key in ("constant", "towards", "against"))
    assert sum(parts) == pytest.approx(local["logit"]["value"], abs=1e-6)


def read(folder: Path, modality: str, name: str) -> Dataset:
    """The result of that SOP class."""
    found = [pydicom.dcmread(path) for path in sorted(folder.glob("*.dcm"))]
    return next(one for one in found if name in one.SOPClassUID.name and one.Modality == modality)


def test_the_map_lies_where_the_series_lies_and_peaks_at_the_opacity(made, ill) -> None:
    series = [pydicom.dcmread(path) for path in sorted(ill[0].iterdir())]
    stored = read(made[1], "OT", "Parametric Map")
    assert stored.FrameOfReferenceUID == series[0].FrameOfReferenceUID
    assert {one.ReferencedSOPInstanceUID for one in sources(stored)} == {
        one.SOPInstanceUID for one in series
    }
    grid = hd.pm.ParametricMap.from_dataset(stored).get_volume()
    assert np.allclose(ends(grid), ends(hd.get_volume_from_series(series)), atol=0.01)
    at = np.array(np.unravel_index(grid.array.argmax(), grid.array.shape))
    peak = grid.map_indices_to_reference(at[None])[0]
    centre = 10 * np.array(ill[1].opacities[0].centre)
    reach = 10 * max(ill[1].opacities[0].radii)
    assert np.linalg.norm(peak - centre) < reach + NEAR


def sources(stored: Dataset) -> list[Dataset]:
    """The images that an object refers to."""
    return [
        one for each in stored.ReferencedSeriesSequence for one in each.ReferencedInstanceSequence
    ]


def ends(grid: hd.Volume) -> np.ndarray:
    """The outer corners, mm: least and greatest along each axis of the patient."""
    shape = np.array(grid.spatial_shape)
    corners = np.array(np.meshgrid(*[(-0.5, n - 0.5) for n in shape])).reshape(3, -1).T
    placed = corners @ grid.affine[:3, :3].T + grid.affine[:3, 3]
    return np.stack([placed.min(0), placed.max(0)])


def test_segment_and_report_refer_to_the_series(made, ill) -> None:
    stored = read(made[1], "SEG", "Segmentation")
    segmented = hd.seg.Segmentation.from_dataset(stored).get_volume(segment_numbers=[1])
    assert segmented.array.any() and stored.FrameOfReferenceUID
    report = read(made[1], "SR", "Comprehensive 3D SR")
    named = {
        one.ReferencedSOPInstanceUID
        for each in report.CurrentRequestedProcedureEvidenceSequence
        for inner in each.ReferencedSeriesSequence
        for one in inner.ReferencedSOPSequence
    }
    series = {pydicom.dcmread(path).SOPInstanceUID for path in ill[0].iterdir()}
    assert series | {stored.SOPInstanceUID} <= named


def test_evidence_peaks_at_planted_opacities(model) -> None:
    """In most volumes that are called so within two voxels, where few places of the lungs lie."""
    hits, chance = [], []
    for number in range(10):
        phantom = draw(SEED + 1, number, Recipe(1.0, 0.0))
        scan = network_inputs(scanned(phantom, model.image_shape[-1]), model.image_shape[1:])
        explanation = explain(model, scan.shown)
        if not scan.mask.any() or explanation.prediction.label != "opacity":
            continue
        values, places = explanation.local_evidence.locations, np.argwhere(scan.mask[0] > 0)
        peak = np.array(np.unravel_index(values.argmax(), values.shape))
        hits.append(near(places, peak))
        chance += [near(places, place) for place in np.argwhere(scan.lungs[0] > 0)[::7]]
    assert len(hits) >= 7 and np.mean(hits) > 0.6 and np.mean(chance) < 0.3, (hits, np.mean(chance))


def near(places: np.ndarray, place: np.ndarray) -> bool:
    """Whether one of them is within two voxels along each axis."""
    return bool(np.abs(places - place).max(1).min() <= 2)
