"""Model folders: what is saved is what is loaded, and nothing else is accepted."""

import json
import os
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors

from medinv.errors import (
    ConfigError,
    IntegrityError,
    MissingDataError,
    ModelNotFoundError,
    OutputError,
)
from medinv.models import folder as folders
from medinv.models.density import Classifier
from medinv.models.folder import CARD, CASES, FACTS, SEAL, WEIGHTS, digest, seal
from medinv.models.pooled import PooledClassifier
from medinv.models.reference import save_reference
from medinv.models.store import load, locate, read_card, shipped
from medinv.training.publish import publish
from medinv.training.train import Trained
from tests.models.test_reference import METADATA, REFERENCE


def replace_metadata(**changes):
    return METADATA.model_copy(update=changes)


def rewrite(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change a card as someone could who knows the layout, its seal made anew."""
    card = json.loads((folder / CARD).read_text())
    change(card)
    (folder / CARD).write_text(json.dumps(seal(card)))


@pytest.fixture(scope="module")
def folder(tiny_config, tiny_data, tiny_model, tmp_path_factory):
    path = tmp_path_factory.mktemp("model")
    publish(
        path,
        Trained(deepcopy(tiny_model), (), "cpu"),
        tiny_config,
        tiny_data,
        command="test",
    )
    return path


@pytest.fixture
def copy(folder, tmp_path):
    for name in (WEIGHTS, CARD, CASES, FACTS):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    return tmp_path


def test_a_loaded_model_says_what_the_saved_one_said(folder, tiny_model, tiny_images) -> None:
    loaded = load(folder)
    with torch.no_grad():
        assert torch.allclose(
            loaded.probabilities(tiny_images), tiny_model.probabilities(tiny_images), atol=1e-5
        )
        assert torch.allclose(
            loaded.read(tiny_images).scope, tiny_model.read(tiny_images).scope, rtol=1e-3
        )
    assert loaded.card.splits == {"training": 96, "validation": 64, "test": 64}


def test_the_card_holds_every_metric_with_its_interval(folder) -> None:
    card = read_card(folder)
    assert set(card.metrics) == {
        "auc",
        "accuracy",
        "sensitivity",
        "specificity",
        "brier",
        "calibration_error",
    }
    assert all(
        interval.low <= interval.value <= interval.high and interval.n == 64
        for name, interval in card.metrics.items()
        if name != "calibration_error"
    )
    assert card.exactness.share_float64 == 1.0 and card.exactness.images == 64
    assert "not for diagnosis" in card.disclaimer and card.limits and card.not_tested


def test_the_reference_comes_from_the_folder_wherever_one_stands(
    copy, tmp_path_factory, monkeypatch
) -> None:
    """Neither the name on the card nor the working directory decides what belongs to a model."""
    digest = read_card(copy).weights_sha256
    save_reference(copy, replace(REFERENCE, metadata=replace_metadata(weights_sha256=digest)))
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    loaded = load(copy)
    assert loaded.reference.metadata.weights_sha256 == digest and loaded.reference_missing is None
    save_reference(copy, replace(REFERENCE, metadata=replace_metadata(weights_sha256="another's")))
    foreign = load(copy)
    assert foreign.reference is None and "do not belong together" in foreign.reference_missing


def test_a_folder_called_as_a_shipped_model_is_not_given_its_reference(copy) -> None:
    rewrite(copy, lambda card: card.update(name="phantom-opacity"))
    (copy / CASES).unlink()
    loaded = load(copy)
    assert loaded.reference is None and "no reference" in loaded.reference_missing


def test_forward_is_the_logits(folder, tiny_images) -> None:
    loaded = load(folder, Classifier)
    with torch.no_grad():
        assert torch.equal(loaded(tiny_images), loaded.logits(tiny_images))
    with pytest.raises(ConfigError, match="expected a model of kind PooledClassifier"):
        load(folder, PooledClassifier)


def test_a_changed_weight_is_refused(copy) -> None:
    data = bytearray((copy / WEIGHTS).read_bytes())
    data[-1] ^= 1
    (copy / WEIGHTS).write_bytes(data)
    with pytest.raises(IntegrityError, match="SHA-256"):
        load(copy)


@pytest.mark.parametrize("content", [b"", b"{}", b"not json", b'{"name": 3}'])
def test_a_card_that_is_none_is_refused(copy, content) -> None:
    (copy / CARD).write_bytes(content)
    with pytest.raises(IntegrityError):
        load(copy)


@pytest.mark.parametrize(
    "change",
    [
        lambda card: card["operating_point"].update(threshold=float("nan")),
        lambda card: card["operating_point"].update(threshold=2.0),
        lambda card: card["scope"].update(threshold=float("nan")),
        lambda card: card["calibration"].update(temperature_inverse=float("inf")),
        lambda card: card["calibration"].update(prior=[float("nan"), 0.5]),
    ],
)
def test_a_card_that_would_decide_by_no_number_is_refused(copy, change) -> None:
    """Against a threshold that is none every image would be called negative, and in scope."""
    rewrite(copy, change)
    with pytest.raises(IntegrityError, match="not a model card"):
        load(copy)


def test_weights_of_another_network_are_refused_even_with_their_hash(copy) -> None:
    rewrite(copy, lambda card: card["config"]["model"].update(hidden=[4, 4]))
    with pytest.raises(IntegrityError, match="do not fit"):
        load(copy)


@pytest.mark.parametrize(
    "change",
    [
        lambda card: card["operating_point"].update(threshold=0.01),
        lambda card: card["metrics"]["auc"].update(value=1.0),
        lambda card: card["scope"].update(modalities=["MR"]),
        lambda card: card.update(limits=[]),
        lambda card: card.pop(SEAL),
    ],
)
def test_whatever_a_result_quotes_is_bound_to_the_weights(copy, change) -> None:
    card = json.loads((copy / CARD).read_text())
    change(card)
    (copy / CARD).write_text(json.dumps(card))
    with pytest.raises(IntegrityError, match="changed after it was written"):
        load(copy)


def test_a_shipped_file_is_the_one_that_was_shipped(folder, tmp_path, monkeypatch) -> None:
    """Even a card whose seal fits its new text: the package knows the hashes."""
    monkeypatch.setattr(folders, "SHIPPED", tmp_path)
    monkeypatch.setattr(folders, "PINNED", tmp_path / "hashes.json")
    model = tmp_path / "tiny"
    model.mkdir()
    for name in (WEIGHTS, CARD, CASES, FACTS):
        (model / name).write_bytes((folder / name).read_bytes())
    folders.pin()
    assert load(model).reference is not None
    rewrite(model, lambda card: card["metrics"]["auc"].update(value=1.0))
    with pytest.raises(IntegrityError, match="not the file that was shipped"):
        load(model)


def test_every_file_of_the_shipped_models_is_pinned() -> None:
    files = [
        path for path in folders.SHIPPED.glob("*/*") if path.suffix in (".json", ".safetensors")
    ]
    hashes = folders.pinned()
    assert {f"{path.parent.name}/{path.name}" for path in files} == set(hashes)
    for path in files:
        assert digest(path.read_bytes()) == hashes[f"{path.parent.name}/{path.name}"]


@pytest.mark.parametrize("name", ["../escape", "a/b", "", ".", "UPPER", "x" * 65, "nul\0"])
def test_a_name_that_is_no_folder_name_is_refused(copy, name) -> None:
    rewrite(copy, lambda card: card.update(name=name))
    with pytest.raises(IntegrityError, match="not a model card of this version: name"):
        load(copy)


@pytest.mark.parametrize("name", [WEIGHTS, CARD])
def test_only_regular_files_are_read(copy, tmp_path_factory, name) -> None:
    """No link that leads out, no folder, no pipe that would wait for ever, no device."""
    outside = tmp_path_factory.mktemp("outside") / name
    (copy / name).rename(outside)
    (copy / name).symlink_to(outside)
    with pytest.raises(IntegrityError, match="is a link"):
        load(copy)
    (copy / name).unlink()
    os.mkfifo(copy / name)
    with pytest.raises(IntegrityError, match="regular file"):
        load(copy)
    (copy / name).unlink()
    (copy / name).mkdir()
    with pytest.raises(IntegrityError):
        load(copy)


def test_a_linked_reference_is_left_out_and_said(copy, tmp_path_factory) -> None:
    outside = tmp_path_factory.mktemp("outside") / CASES
    (copy / CASES).rename(outside)
    (copy / CASES).symlink_to(outside)
    loaded = load(copy)
    assert loaded.reference is None and "is a link" in loaded.reference_missing


def test_a_file_beyond_its_cap_is_not_read(copy) -> None:
    with (copy / WEIGHTS).open("r+b") as stream:
        stream.truncate(folders.LARGEST[WEIGHTS] + 1)  # sparse: it takes no room
    with pytest.raises(IntegrityError, match="expected at most"):
        load(copy)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e30])
def test_weights_that_no_training_gives_are_an_error_of_the_model(copy, value) -> None:
    tensors = load_tensors((copy / WEIGHTS).read_bytes())
    tensors["means"].view(-1)[0] = value
    data = save_tensors(tensors)
    (copy / WEIGHTS).write_bytes(data)
    rewrite(copy, lambda card: card.update(weights_sha256=digest(data)))
    with pytest.raises(IntegrityError, match="expected finite weights"):
        load(copy)


def test_a_network_too_large_to_build_is_refused_before_it_is_built(copy) -> None:
    rewrite(copy, lambda card: card["config"]["model"].update(hidden=[8, 10**7]))
    with pytest.raises(IntegrityError, match="600 million"):
        load(copy)


def test_missing_weights_and_unknown_names_are_told_apart(copy) -> None:
    (copy / WEIGHTS).unlink()
    with pytest.raises(IntegrityError, match="cannot be read"):
        load(copy)
    with pytest.raises(ModelNotFoundError, match="no-such-model"):
        load("no-such-model")


def test_an_unwritable_folder_is_an_output_error(
    tiny_config, tiny_data, tiny_model, tmp_path
) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError):
        publish(
            tmp_path / "file",
            Trained(deepcopy(tiny_model), (), "cpu"),
            tiny_config,
            tiny_data,
            command="test",
        )


@pytest.mark.parametrize("name", shipped())
def test_shipped_models_are_small_and_keep_their_promises(name) -> None:
    card = load(name).card
    takes_studies = bool(card.scope and card.scope.modalities)  # cifar10 has a scope of pictures
    assert (locate(name) / WEIGHTS).stat().st_size <= (12_000_000 if takes_studies else 20 * 2**20)
    deep = card.convolutions >= 20 or card.config.model.axes == 3  # volumes are soon small
    assert (deep or not takes_studies) and card.exactness.share_float64 == 1.0
    assert card.name == name and card.training_data and card.data_licence


def test_the_models_are_shipped() -> None:
    assert set(shipped()) >= {"chest-xray", "cifar10", "phantom-ct", "phantom-opacity"}


def test_the_chest_model_on_its_test_images(data_dir) -> None:
    from medinv.data.sets.load import load_images
    from medinv.training.measure import exactness, measure

    model = load("chest-xray")
    try:
        test = load_images(model.card.config.data).test
    except MissingDataError as error:
        pytest.skip(f"the set is not prepared: {error.message}")
    found = measure(model, test)
    assert found["auc"].value >= 0.985
    assert found["auc"].value == pytest.approx(model.card.metrics["auc"].value, abs=1e-6)
    assert exactness(model, test.images).share_float64 == 1.0
