"""Exported programs are the model: read back without it, they give its numbers and its images."""

import json
import subprocess
import sys
from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest
import torch

from medinv.config import Config
from medinv.data.sets.labelled import LabelledImages
from medinv.errors import ConfigError, ExportError
from medinv.export.facts import Written
from medinv.export.programs import check, programs, smooth_images
from medinv.export.torch_export import write_torch_export
from medinv.models.build import build
from medinv.models.density import Classifier
from medinv.models.store import load


@pytest.fixture(scope="module")
def model(tiny_folder: Path) -> Classifier:
    return load(tiny_folder, Classifier)


@pytest.fixture(scope="module")
def images(tiny_data: LabelledImages) -> torch.Tensor:
    return torch.from_numpy(tiny_data.test.images[:5]).double()


SAID: list[str] = []


@pytest.fixture(scope="module")
def written(model: Classifier, tmp_path_factory: pytest.TempPathFactory) -> Written:
    return write_torch_export(model, tmp_path_factory.mktemp("programs") / "a.pt2", SAID.append)


def test_torch_export_gives_logits_scope_features_and_the_image(
    model: Classifier, images: torch.Tensor, written: Written
) -> None:
    folder = written.files[0].parent
    assert [path.name for path in written.files] == ["a.pt2", "a-invert.pt2"]
    assert written.checked.exact and written.words == ()
    extra = {"medinv.json": ""}
    program = torch.export.load(folder / "a.pt2", extra_files=extra).module()
    told = json.loads(extra["medinv.json"])
    assert told["outputs"] == ["logits", "probabilities", "scope", "features"]
    assert told["classes"] == ["clear", "opacity"] and told["disclaimer"]
    back = torch.export.load(folder / "a-invert.pt2").module()
    with torch.no_grad():
        reading = model.read(images)
        given = program(images)
    assert torch.allclose(given[0], reading.logits) and torch.allclose(given[2], reading.scope)
    assert torch.allclose(given[1], reading.probabilities, atol=1e-12)
    assert told["scope_threshold"] == pytest.approx(model.scope_threshold.item())
    assert torch.equal(back(given[3]).round(), images)
    assert torch.equal(back(given[3][:1]).round(), images[:1])


def test_each_step_that_takes_long_is_said(written: Written) -> None:
    assert ["features to" in said for said in SAID] == [False, True]


def test_the_trunk_is_passed_through_once(
    model: Classifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twice would be twice as long a program, to trace, to write and to run."""
    made, passes, parts = programs(model, torch.float64), [], Classifier._parts
    monkeypatch.setattr(Classifier, "_parts", lambda *given: passes.append(1) or parts(*given))
    assert len(made.forwards(made.images)) == 4 and len(passes) == 1


def test_a_model_without_a_scope_has_none_while_it_is_compiled(
    model: Classifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    bare = deepcopy(model)
    bare.scope_threshold.zero_()
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    assert not bare.has_scope and model.has_scope
    assert programs(bare, torch.float64).forwards.outputs == ("logits", "probabilities", "features")


def test_a_program_runs_where_medinv_is_not(images: torch.Tensor, written: Written) -> None:
    folder = written.files[0].parent
    np.save(folder / "x.npy", images.numpy())
    code = (
        "import sys, numpy, torch; sys.modules['medinv'] = None\n"
        "x = torch.from_numpy(numpy.load('x.npy'))\n"
        "there = torch.export.load('a.pt2').module()\n"
        "back = torch.export.load('a-invert.pt2').module()\n"
        "print(torch.equal(back(there(x)[3]).round(), x))"
    )
    run = [sys.executable, "-c", code]
    done = subprocess.run(run, cwd=folder, capture_output=True, text=True)
    assert done.stdout.strip() == "True", done.stderr


def test_onnx_gives_the_same_by_onnxruntime(
    model: Classifier, images: torch.Tensor, tmp_path: Path
) -> None:
    pytest.importorskip("onnxscript", reason="ONNX needs the extra: pip install 'medinv[export]'")
    onnxruntime = pytest.importorskip("onnxruntime")
    from medinv.export.onnx import write_onnx

    written = write_onnx(model, tmp_path / "a.onnx")
    assert [path.name for path in written.files] == ["a.onnx", "a-invert.onnx"]
    assert written.checked.exact and written.checked.logits < 1e-2
    there = onnxruntime.InferenceSession(tmp_path / "a.onnx")
    told = there.get_modelmeta().custom_metadata_map
    assert json.loads(told["classes"]) == ["clear", "opacity"] and told["model"] == "tiny"
    names = ["logits", "probabilities", "scope", "features"]
    assert [output.name for output in there.get_outputs()] == names
    given = there.run(None, {"image": images.float().numpy()})
    with torch.no_grad():
        reading = model.read(images)
    assert np.allclose(given[1], reading.probabilities, atol=1e-4)
    assert np.allclose(given[2], reading.scope, rtol=1e-3)
    (image,) = onnxruntime.InferenceSession(tmp_path / "a-invert.onnx").run(
        None, {"features": given[3]}
    )
    assert np.array_equal(image.round(), images)


def test_an_ordinary_network_has_programs_forwards_alone(
    tiny_config: Config, tiny_data: LabelledImages, model: Classifier
) -> None:
    tree = tiny_config.model_dump()
    tree["model"] = {"kind": "lenet", "classes": ("clear", "opacity"), "mean": 100, "std": 50}
    tree["train"] = {"epochs": 1, "batch": 16, "learning_rate": 1e-3}
    tree["data"]["size"] = 32
    tree.pop("reference", None)
    network = build(Config.model_validate(tree)).double().eval()
    network.card = model.card.model_copy(update={"config": Config.model_validate(tree)})
    made = programs(network, torch.float64)
    assert made.backwards is None and made.forwards.outputs == ("logits", "probabilities")
    assert check(made, made.forwards(made.images), None).logits < 1e-9


POOLED = {"kind": "pooled", "classes": ("a", "b", "c"), "mean": 100, "std": 50, "depths": [1, 1]}


@pytest.mark.parametrize(
    ("settings", "size", "kept"),
    [
        ({"hidden": [8, 16]}, 16, 0),
        ({"hidden": [8, 16], "padding": "zeros"}, 16, 0),
        ({"hidden": [8, 16], "padding": "zeros", "norm": "act"}, 64, 1),
        ({"hidden": [8, 64], "axes": 3}, 16, 0),
    ],
)
def test_pooled_networks_of_three_classes_run_backwards_too(
    settings: dict, size: int, kept: int, tiny_config: Config, model: Classifier
) -> None:
    tree = tiny_config.model_dump()
    tree["model"], tree["train"] = POOLED | settings, {"epochs": 1, "batch": 16, "learning_rate": 1}
    tree["data"]["size"] = size
    tree.pop("reference", None)
    config = Config.model_validate(tree)
    torch.manual_seed(0)
    network = build(config).double().eval()
    network.card = model.card.model_copy(update={"config": config})
    made = programs(network, torch.float64)
    assert len(made.kept) == kept
    with torch.no_grad():
        outputs = made.forwards(made.images)
        found = check(made, outputs, made.backwards(outputs[-1]))
    assert found.exact and found.logits < 1e-8 and outputs[1].shape == (3, 3)


def test_a_program_that_is_not_the_model_is_refused(model: Classifier) -> None:
    made = programs(model, torch.float64)
    outputs = made.forwards(made.images)
    with pytest.raises(ExportError, match="other logits"):
        check(made, (outputs[0] + 0.1 * outputs[0].abs().max(), *outputs[1:]), None)
    assert not check(made, outputs, made.images + 1).exact


def smooth_images_for_checks_are_whole_grey_levels_of_any_shape() -> None:
    for shape in ((1, 16, 24), (3, 8, 8), (1, 4, 8, 12)):
        images = smooth_images(shape)
        assert images.shape == (3, *shape) and torch.equal(images, images.round())
        assert images.min() >= 0 and images.max() <= 255 and images.std() > 10


def test_what_is_not_installed_is_named(
    model: Classifier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from medinv.export.onnx import write_onnx

    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ConfigError, match=r"onnxruntime.*medinv\[export\]"):
        write_onnx(model, tmp_path / "a.onnx")
    assert list(tmp_path.iterdir()) == []
