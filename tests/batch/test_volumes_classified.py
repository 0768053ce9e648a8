"""A model of volumes: the slices of a series are one image, whole or not at all."""

from dataclasses import replace
from pathlib import Path

import highdicom as hd
import nibabel
import numpy as np
import pydicom
import pytest
import torch
from pydicom import Dataset

import medinv
from medinv.analysis.infer import predict
from medinv.batch.options import Options
from medinv.batch.reader import _answers
from medinv.batch.run import run
from medinv.cli.inputs import network_inputs
from medinv.config import load_config
from medinv.data.dicom.index import index
from medinv.data.frame import InputSpec
from medinv.data.intake import ReadRequest
from medinv.data.volume import read_volume
from medinv.explanation.explain import explain
from medinv.models.build import build
from medinv.models.store import read_card
from medinv.report.write import Reports

SPEC = InputSpec(1, (8, 16, 16))


@pytest.fixture(scope="module")
def model():
    """An untrained network of volumes, with a card that names no scope."""
    path = Path(__file__).parents[2] / "configs" / "adrenalmnist3d.yaml"
    data = "data={set: prepared, folder: none, size: [8, 16, 16]}"
    config = load_config(path, (data, "model.depths=[1]", "model.hidden=[8]"))
    torch.manual_seed(0)
    network = build(config).eval().double()
    changes = {"config": config, "scope": None, "selection": None, "classes": config.model.classes}
    network.card = read_card("phantom-opacity").model_copy(update={"name": "volumes"} | changes)
    return network


@pytest.fixture(scope="module")
def series(samples, tmp_path_factory) -> Path:
    """The generated CT of a sample study, without its radiograph."""
    folder = tmp_path_factory.mktemp("series")
    for path in sorted((samples / "studies" / "study-02").rglob("*.dcm")):
        dataset = pydicom.dcmread(path)
        if dataset.Modality == "CT":
            dataset.save_as(folder / path.name)
    return folder


def test_the_slices_of_a_series_are_one_image(model, series, tmp_path) -> None:
    instances = list(index([series]).instances)
    assert len(instances) > 8
    renderers = {"report": Reports().reports}
    (row,) = run(index([series]), [model], Options(tmp_path / "out", renderers=renderers)).results
    assert row.status == "ok" and not row.broken, row.error
    (image,) = row.instances
    taken = read_volume(instances, SPEC.size)
    (prediction,) = predict(model, [taken])
    expected = dict(zip(model.classes, prediction.probabilities, strict=True))
    assert image.probabilities == expected and image.reconstruction_exact
    assert "voxels" in image.intake
    page = (tmp_path / "out" / row.report).read_text()
    assert f"of {len(instances)} from the feet" in page and "All slices" in page
    ((frame, given),) = network_inputs([series], SPEC)
    assert np.array_equal(given, taken) and np.array_equal(frame.input, taken)


@pytest.fixture(scope="module")
def stored(model, series, tmp_path_factory) -> list[Dataset]:
    """The DICOM results of the series."""
    out, renderers = tmp_path_factory.mktemp("out"), {"dicom": Reports().dicom}
    run(index([series]), [model], Options(out, renderers=renderers, phi=True))
    return [pydicom.dcmread(path) for path in sorted(out.rglob("*.dcm"))]


def test_the_map_of_evidence_lies_where_the_series_lies(model, stored, series) -> None:
    """Where a voxel of the map lies the series shows what the network was given there."""
    slices = [pydicom.dcmread(path) for path in sorted(series.iterdir())]
    (found,) = (one for one in stored if "Parametric Map" in one.SOPClassUID.name)
    assert found.FrameOfReferenceUID == slices[0].FrameOfReferenceUID
    named = {
        one.ReferencedSOPInstanceUID
        for each in found.ReferencedSeriesSequence
        for one in each.ReferencedInstanceSequence
    }
    assert named == {one.SOPInstanceUID for one in slices}
    body, grid = hd.get_volume_from_series(slices), hd.pm.ParametricMap.from_dataset(found)
    placed = grid.get_volume()
    assert placed.spatial_shape == SPEC.size and np.isfinite(placed.array).all()
    taken = read_volume(list(index([series]).instances), SPEC.size)
    # highdicom counts planes from the head, the network from the feet.
    values = placed.array[::-1]
    told = explain(model, taken).evidence.contributions
    assert np.allclose(values, told, rtol=1e-4, atol=1e-6 * np.abs(told).max())
    indices = np.argwhere(np.ones(SPEC.size, bool))
    there = body.map_reference_to_indices(placed.map_indices_to_reference(indices))
    nearest = np.clip(np.round(there).astype(int), 0, np.array(body.spatial_shape) - 1)
    units = body.array[tuple(nearest.T)].clip(-1000, 200).reshape(SPEC.size)
    given = taken[0][::-1].astype(float)
    alike = {axis: _correlation(np.flip(given, axis), units) for axis in range(3)}
    assert _correlation(given, units) > max(0.85, *(value + 0.01 for value in alike.values()))
    assert np.allclose(_corners(placed), _corners(body), atol=0.01)


def _correlation(first: np.ndarray, second: np.ndarray) -> float:
    return float(np.corrcoef(first.ravel(), second.ravel())[0, 1])


def _corners(volume: hd.Volume) -> np.ndarray:
    """The outer corners, mm: least and greatest along each axis of the patient."""
    ends = [(-0.5, count - 0.5) for count in volume.spatial_shape]
    corners = np.array(np.meshgrid(*ends)).reshape(3, -1).T
    placed = corners @ volume.affine[:3, :3].T + volume.affine[:3, 3]
    return np.stack([placed.min(0), placed.max(0)])


def test_the_structured_report_cites_every_slice(stored, series) -> None:
    (report,) = (one for one in stored if one.Modality == "SR")
    named = {
        one.ReferencedSOPInstanceUID
        for each in report.CurrentRequestedProcedureEvidenceSequence
        for inner in each.ReferencedSeriesSequence
        for one in inner.ReferencedSOPSequence
    }
    assert {pydicom.dcmread(path).SOPInstanceUID for path in series.iterdir()} <= named


def test_a_series_that_lacks_a_slice_fails_by_name_and_stops_nothing(
    model, series, tmp_path
) -> None:
    for path in [path for k, path in enumerate(sorted(series.iterdir())) if k != 5]:
        (tmp_path / path.name).write_bytes(path.read_bytes())
    nibabel.Nifti1Image(
        np.random.default_rng(0).integers(0, 99, (12, 12, 12)).astype(np.int16), np.eye(4)
    ).to_filename(tmp_path / "whole.nii.gz")
    rows = medinv.classify(tmp_path, model)
    (failed,) = (row for row in rows if row.status == "failed")
    assert "missing-slices" in failed.error.message and failed.label is None
    (classified,) = (row for row in rows if row.status == "ok")
    assert classified.instances[0].path.endswith("whole.nii.gz")


def test_a_volume_without_all_its_files_is_never_read(series) -> None:
    """Where a reader died of one, or the memory does not suffice for it."""
    instances = tuple(index([series]).instances)
    request = ReadRequest(instances, (SPEC,), whole=len(instances))
    first, *others = _answers(request, None)
    assert first.error is None and first.last.input.shape == SPEC.shape
    assert len(others) == len(instances) - 1 and not any(done.last for done in others)
    lost = list(_answers(replace(request, instances=instances[1:]), None))
    assert len(lost) == len(instances) - 1
    assert all(done.last is None and "images of this volume" in str(done.error) for done in lost)
