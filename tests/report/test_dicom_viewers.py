"""DICOM results through the readers of others: highdicom's, and dcmjs, which OHIF reads with."""

import io
import json
import shutil
import subprocess
from pathlib import Path

import highdicom as hd
import numpy as np
import pytest
from dicom_headers import slices
from dicom_made import made

# What a viewer does with an object: its values by their names, its bits as pixels.
READ = """
const fs = require("fs"), dcmjs = require("dcmjs");
const {DicomMessage, DicomMetaDictionary} = dcmjs.data;
const told = {};
for (const path of process.argv.slice(2)) {
  const found = DicomMessage.readFile(new Uint8Array(fs.readFileSync(path)).buffer);
  const set = DicomMetaDictionary.naturalizeDataset(found.dict);
  const list = (value) => (value === undefined ? [] : Array.isArray(value) ? value : [value]);
  const say = {modality: set.Modality, description: set.SeriesDescription, texts: []};
  const walk = (item) => {
    for (const one of list(item.ContentSequence)) {
      const name = list(one.ConceptNameCodeSequence)[0];
      if (one.ValueType === "TEXT") say.texts.push([name.CodeMeaning, one.TextValue]);
      if (one.ValueType === "NUM") {
        const value = list(one.MeasuredValueSequence)[0];
        if (value) say.texts.push([name.CodeMeaning, String(value.NumericValue)]);
      }
      walk(one);
    }
  };
  walk(set);
  if (set.SegmentSequence) {
    const rgb = (one) => dcmjs.data.Colors.dicomlab2RGB(list(one.RecommendedDisplayCIELabValue));
    say.segments = list(set.SegmentSequence).map((one) => [one.SegmentLabel, rgb(one)]);
    const bits = dcmjs.data.BitArray.unpack(list(set.PixelData)[0]);
    const size = set.Rows * set.Columns * Number(set.NumberOfFrames || 1);
    say.drawn = bits.slice(0, size).reduce((sum, bit) => sum + (bit ? 1 : 0), 0);
  }
  told[path] = say;
}
console.log(JSON.stringify(told));
"""


def test_highdicom_reads_the_segments_with_a_colour_and_their_place(analyse, opacity) -> None:
    found = made(analyse(opacity))["SEG"]
    read = hd.seg.Segmentation.from_dataset(found)
    for number in read.segment_numbers:
        described = read.get_segment_description(number)
        assert "RecommendedDisplayCIELabValue" in described
        assert described.segment_label and described.algorithm_type.value == "AUTOMATIC"
    (source,) = {one[2] for one in read.get_source_image_uids()}
    drawn = read.get_pixels_by_source_instance([source], ignore_spatial_locations=True)
    stored = found.pixel_array
    assert drawn.shape[:3] == (1, *stored.shape[-2:]) and drawn[..., 0].sum() == stored.sum() > 0


def test_highdicom_finds_the_groups_of_measurements_of_the_report(analyse, opacity) -> None:
    stream = io.BytesIO()
    made(analyse(opacity))["SR"].save_as(stream, enforce_file_format=True)
    stream.seek(0)
    read = hd.sr.srread(stream)
    content = read.content
    groups = [*content.get_image_measurement_groups(), *content.get_planar_roi_measurement_groups()]
    measured = [one for group in groups for one in group.get_measurements()]
    assert measured and all(np.isfinite(one.value) for one in measured)


def test_highdicom_reads_the_map_of_slices_as_real_numbers(analyse, opacity) -> None:
    read = hd.pm.ParametricMap.from_dataset(made(analyse(opacity, *slices()))["map"])
    local = opacity.instances[0].explanation.local_evidence.locations
    values = read.get_frames(apply_real_world_transform=False)
    assert values.shape == (3, *local.shape) and np.allclose(values, local)


@pytest.fixture(scope="module")
def dcmjs(tmp_path_factory) -> Path:
    """A folder in which node finds dcmjs, from the npm registry."""
    if not (shutil.which("npm") and shutil.which("node")):
        pytest.skip("no node and npm on the path: install them to have dcmjs read the results")
    folder = tmp_path_factory.mktemp("dcmjs")
    words = "npm install --silent --no-fund --no-audit --ignore-scripts dcmjs@0.52"
    got = subprocess.run(words.split(), cwd=folder, capture_output=True, timeout=300)
    if got.returncode:
        pytest.skip("dcmjs could not be fetched by npm: its reading of the results is left out")
    return folder


def test_dcmjs_reads_the_report_and_the_segments(analyse, dcmjs, tmp_path, opacity) -> None:
    found = made(analyse(opacity))
    paths = {name: tmp_path / f"{name}.dcm" for name in ("SR", "SEG")}
    for name, path in paths.items():
        found[name].save_as(path, enforce_file_format=True)
    (dcmjs / "read.js").write_text(READ)
    run = subprocess.run(
        ["node", "read.js", *map(str, paths.values())],
        cwd=dcmjs,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert run.returncode == 0, run.stderr
    told = json.loads(run.stdout.splitlines()[-1])
    report, segments = told[str(paths["SR"])], told[str(paths["SEG"])]
    said = " ".join(text for _, text in report["texts"])
    assert "not for diagnosis" in said
    told_probability = opacity.probabilities[opacity.label]
    numbers = [float(text) for _, text in report["texts"] if _is_number(text)]
    assert any(abs(value - told_probability) < 1e-3 for value in numbers) or any(
        abs(value - 100 * told_probability) < 0.1 for value in numbers
    )
    assert segments["drawn"] == found["SEG"].pixel_array.sum() > 0
    for label, colour in segments["segments"]:
        assert label and colour[0] > colour[2], "orange, as in the report"


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
