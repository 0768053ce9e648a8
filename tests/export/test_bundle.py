"""A bundle runs by MONAI's command line and gives the numbers of classify."""

import csv
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import medinv
from medinv.analysis.infer import predict
from medinv.data.dicom.index import index
from medinv.data.intake import ReadRequest, read_frames
from medinv.data.monai import MedinvReader
from medinv.data.prepare.write import Content, write_set
from medinv.data.sets.info import About
from medinv.data.sets.labelled import LabelledImages
from medinv.errors import DataError, OutputError
from medinv.export.bundle import write_bundle
from medinv.export.configs import inference, metadata
from medinv.export.runtime import ResultsWriter, labelled, network, studies
from medinv.models.layout import fit_layout
from medinv.models.store import keep_layout, load, read_card

pytest.importorskip("ignite", reason="bundles run in MONAI's engines: pip install 'medinv[export]'")
pytest.importorskip("fire", reason="MONAI's command line needs fire: pip install 'medinv[export]'")

from monai.bundle import ConfigParser, verify_metadata, verify_net_in_out
from monai.bundle import run as monai_run

STUDIES = Path(__file__).parents[2] / "sample_data" / "studies"


@pytest.fixture(scope="module")
def bundle(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bundles") / "tiny"
    write_bundle(tiny_folder, folder)
    return folder


def monai(bundle: Path, *words: str) -> str:
    run = subprocess.run(
        [sys.executable, "-m", "monai.bundle", *words],
        cwd=bundle,
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stdout[-2000:] + run.stderr[-3000:]
    return run.stdout + run.stderr


@pytest.fixture(scope="module")
def table(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> list[list[str]]:
    """What a run on the sample studies writes."""
    out = tmp_path_factory.mktemp("out")
    monai(
        bundle, "run", "--config_file", "configs/inference.json", "--meta_file",
        "configs/metadata.json", "--logging_file", "configs/logging.conf", "--bundle_root", ".",
        "--dataset_dir", str(STUDIES), "--output_dir", str(out),
    )  # fmt: skip
    return list(csv.reader((out / "predictions.csv").read_text().splitlines()))


def test_a_run_gives_the_numbers_of_classify(table: list[list[str]], tiny_folder: Path) -> None:
    model = load(tiny_folder)
    expected = {
        image.path: image for study in medinv.classify(STUDIES, model) for image in study.instances
    }
    header, *rows, last = table
    assert header == ["image", "label", "clear", "opacity", "scope"] and len(rows) == 8
    assert "not for diagnosis" in last[0]
    assert {Path(row[0]).resolve() for row in rows} == {Path(path).resolve() for path in expected}
    by_path = {Path(path).resolve(): image for path, image in expected.items()}
    for path, label, *values in rows:
        image = by_path[Path(path).resolve()]
        assert label == image.label
        given = [*image.probabilities.values(), image.scope.score / image.scope.threshold]
        assert np.allclose([float(value) for value in values], given, rtol=0, atol=1e-6)


def test_its_weights_are_tensors_alone_and_its_network_is_the_model(
    bundle: Path, tiny_folder: Path
) -> None:
    weights = torch.load(bundle / "models" / "model.pt", weights_only=True)
    config = json.loads((bundle / "configs" / "inference.json").read_text())["config"]
    made = network(config)
    made.load_state_dict(weights)
    images = torch.randint(0, 256, (2, 1, 16, 16)).double()
    with torch.no_grad():
        assert torch.equal(made(images), load(tiny_folder)(images))


def test_metadata_pass_monais_checks(bundle: Path, tmp_path: Path) -> None:
    pytest.importorskip("jsonschema")
    schema = tmp_path / "schema.json"  # MONAI takes a schema that is already there
    shutil.copy(Path(__file__).parent / "metadata_schema.json", schema)
    verify_metadata(bundle / "configs" / "metadata.json", schema)
    tree = json.loads((bundle / "configs" / "metadata.json").read_text())
    broken = tmp_path / "broken.json"
    broken.write_text(json.dumps({**tree, "network_data_format": {}}))
    with pytest.raises(ValueError, match="Failed validating"):
        verify_metadata(broken, schema)


def test_metadata_describe_what_goes_in_and_out(bundle: Path) -> None:
    configs = bundle / "configs"
    verify_net_in_out("network_def", configs / "metadata.json", configs / "inference.json")


def test_it_trains_on_a_prepared_set(
    bundle: Path, tiny_data: LabelledImages, tmp_path: Path
) -> None:
    n = 24
    content = Content(
        tiny_data.train.images[:n],
        [("clear", "opacity")[k] for k in tiny_data.train.labels[:n]],
        ["training"] * 16 + ["validation"] * 8,
        [f"patient-{k}" for k in range(n)],
    )
    write_set(tmp_path / "set", content, About(name="mine"), classes=("clear", "opacity"))
    copy = shutil.copytree(bundle, tmp_path / "bundle")
    monai_run(
        config_file=copy / "configs" / "train.json",
        bundle_root=str(copy),
        dataset_dir=str(tmp_path / "set"),
        **{"train#trainer#max_epochs": 1},
    )
    before = torch.load(copy / "models" / "model.pt", weights_only=True)
    after = torch.load(copy / "models" / "model_finetuned.pt", weights_only=True)
    after = after.get("model", after)
    assert before.keys() == after.keys()
    assert any(not torch.equal(before[name], after[name]) for name in before)


def test_labels_follow_the_models_order_of_classes(
    tiny_data: LabelledImages, tmp_path: Path
) -> None:
    names = [("clear", "opacity")[k] for k in tiny_data.train.labels[:8]]
    content = Content(
        tiny_data.train.images[:8], names, ["training"] * 8, [f"patient-{k}" for k in range(8)]
    )
    write_set(tmp_path / "set", content, About(name="mine"), classes=("opacity", "clear"))
    items = labelled(tmp_path / "set", "training", ("clear", "opacity"))
    assert [item["label"] for item in items] == list(tiny_data.train.labels[:8])
    assert np.array_equal(items[3]["image"], tiny_data.train.images[3])
    with pytest.raises(DataError, match="classes"):
        labelled(tmp_path / "set", "training", ("normal", "pneumonia"))


def test_images_that_the_rules_leave_out_are_left_out(tiny_folder: Path) -> None:
    rules = read_card(tiny_folder).rules.model_dump(mode="json")
    found = studies(STUDIES, rules)
    assert len(found) == 8 and all("radiograph" in item["image"] for item in found)
    with pytest.raises(DataError, match="modality"):
        studies(STUDIES / "study-02" / "ct", rules)


def test_the_reader_gives_what_classify_shows_a_model() -> None:
    path = STUDIES / "study-04" / "radiograph.dcm"
    array, meta = MedinvReader(input_shape=(1, 32, 48)).get_data([path])
    (instance,) = index([path]).instances
    from medinv.data.frame import InputSpec

    spec = InputSpec(1, (32, 48))
    (frame,) = read_frames(instance, ReadRequest((instance,), (spec,)))
    assert np.array_equal(array, frame.inputs[spec]) and array.dtype == np.uint8
    whole, full = MedinvReader(values="display", swap_ij=False).get_data([path])
    rows, columns = whole.shape
    centre = full["affine"] @ [(rows - 1) / 2, (columns - 1) / 2, 0, 1]
    assert np.allclose(meta["affine"] @ [15.5, 23.5, 0, 1], centre)


def test_a_folder_that_holds_something_is_not_written_into(bundle: Path, tiny_folder: Path) -> None:
    with pytest.raises(OutputError, match="new or empty"):
        write_bundle(tiny_folder, bundle)


def test_nothing_of_the_makers_disk_stands_in_it(tiny_folder: Path) -> None:
    card = read_card(tiny_folder)
    from medinv.config import PreparedData

    config = card.config.model_copy(
        update={"data": PreparedData(folder="/home/somebody/sets/films", size=16)}
    )
    from medinv.export.configs import inference

    moved = card.model_copy(update={"config": config})
    assert "somebody" not in json.dumps([inference(moved), metadata(moved)])
    assert inference(moved)["config"]["data"]["folder"] == "films"


def test_what_is_laid_out_otherwise_is_out_of_scope_in_a_bundle_too(
    tiny_folder: Path, tiny_data: LabelledImages, tmp_path: Path
) -> None:
    """By the numbers of classify: the layout goes with the bundle."""
    shutil.copytree(tiny_folder, tmp_path / "model")
    noise = np.random.default_rng(0).integers(-3, 4, (800, 1, 16, 16))
    many = np.resize(tiny_data.train.images, noise.shape).astype(int) + noise
    images = np.clip(many, 0, 255).astype(np.uint8)
    card = keep_layout(tmp_path / "model", fit_layout(images, images[:200], steps=200))
    write_bundle(tmp_path / "model", tmp_path / "bundle")
    root = {"bundle_root": str(tmp_path / "bundle")}
    parser = ConfigParser({**inference(card), **root, "device": "cpu", "output_dir": str(tmp_path)})
    model = load(tmp_path / "model")
    some = [*images[:2], *images[:2, :, ::-1].copy()]
    made = parser.get_parsed_content("inferer")(torch.from_numpy(np.stack(some)).double(), model)
    told = [bool(one.layout.objections) for one in predict(model, some)]
    assert made[:, -1].tolist() == told == [False, False, True, True]
    writer = ResultsWriter(tmp_path / "t.csv", model, "", layout=True)
    assert ["out of scope" in writer._row(row) for row in made.tolist()][2:] == [True, True]
