"""Model folders: what is saved is what is loaded, and nothing else is accepted."""

import json
from dataclasses import replace

import pytest
import torch

from medinv.errors import ConfigError, IntegrityError, ModelNotFoundError, OutputError
from medinv.models.density import Classifier
from medinv.models.pooled import PooledClassifier
from medinv.models.reference import save_reference
from medinv.models.store import CARD, WEIGHTS, load, locate, read_card, shipped
from medinv.training.publish import publish
from medinv.training.train import Trained
from tests.models.test_reference import FACT, REFERENCE


def replace_facts(**changes):
    return FACT.model_copy(update=changes)


@pytest.fixture(scope="module")
def folder(tiny_config, tiny_data, tiny_model, tmp_path_factory):
    path = tmp_path_factory.mktemp("model")
    publish(
        path, Trained(tiny_model, (), "cpu"), tiny_config, tiny_data, command="test", foreign={}
    )
    return path


@pytest.fixture
def copy(folder, tmp_path):
    for name in (WEIGHTS, CARD):
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
    save_reference(copy, replace(REFERENCE, facts=replace_facts(weights_sha256=digest)))
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    loaded = load(copy)
    assert loaded.reference.facts.weights_sha256 == digest and loaded.reference_missing is None
    save_reference(copy, replace(REFERENCE, facts=replace_facts(weights_sha256="another's")))
    foreign = load(copy)
    assert foreign.reference is None and "do not belong together" in foreign.reference_missing


def test_a_folder_called_as_a_shipped_model_is_not_given_its_reference(copy) -> None:
    card = json.loads((copy / CARD).read_text())
    card["name"] = "phantom-opacity"
    (copy / CARD).write_text(json.dumps(card))
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


def test_weights_of_another_network_are_refused_even_with_their_hash(copy) -> None:
    card = json.loads((copy / CARD).read_text())
    card["config"]["model"]["hidden"] = [4, 4]
    (copy / CARD).write_text(json.dumps(card))
    with pytest.raises(IntegrityError, match="do not fit"):
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
            Trained(tiny_model, (), "cpu"),
            tiny_config,
            tiny_data,
            command="test",
            foreign={},
        )


@pytest.mark.parametrize("name", shipped())
def test_shipped_models_are_small_and_keep_their_promises(name) -> None:
    card = load(name).card
    takes_studies = card.scope is not None
    assert (locate(name) / WEIGHTS).stat().st_size <= (12_000_000 if takes_studies else 20_000_000)
    assert (card.convolutions >= 20 or not takes_studies) and card.exactness.share_float64 == 1.0
    assert card.name == name and card.training_data and card.data_licence


def test_the_models_are_shipped() -> None:
    assert set(shipped()) >= {"chest-xray", "cifar10", "phantom-opacity"}


def test_the_chest_model_on_its_test_images(data_dir) -> None:
    from medinv.data.sets.chest_xray import load_chest_xray
    from medinv.training.publish import exactness, measure

    model = load("chest-xray")
    test = load_chest_xray("MEDINV_DATA", 64).test
    found = measure(model, test)
    assert found["auc"].value >= 0.985
    assert found["auc"].value == pytest.approx(model.card.metrics["auc"].value, abs=1e-6)
    assert exactness(model, test.images).share_float64 == 1.0
