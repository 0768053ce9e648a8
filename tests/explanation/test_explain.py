"""One explanation: every part against the model itself, the same at every call and detail."""

import json
from dataclasses import fields, replace

import numpy as np
import pytest
import torch

from medinv.errors import ConfigError, ShapeError
from medinv.explanation.evidence import evidence, head_view, layer_evidence, likelihood_ratio
from medinv.explanation.explain import DETAILS, explain
from medinv.explanation.local import checked, local_evidence
from medinv.explanation.neighbours import nearest
from medinv.explanation.result import Explanation
from medinv.explanation.written import arrays, scalars

BY_REPORT = {"trace", "neighbours", "sanity"}
BY_FULL = {"layer_evidence", "likelihood_ratio", "head", "robustness"}


@pytest.fixture
def image(tiny_data) -> np.ndarray:
    """A test image (1, 16, 16) uint8."""
    return tiny_data.test.images[0]


def tensor(image: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(image)[None].double()


def same(first, second) -> bool:
    """Two results hold the same values, bit for bit."""
    if isinstance(first, np.ndarray):
        return np.array_equal(first, second)
    if isinstance(first, tuple):
        return len(first) == len(second) and all(map(same, first, second))
    if hasattr(first, "__dataclass_fields__"):
        names = [field.name for field in fields(first)]
        return all(same(getattr(first, name), getattr(second, name)) for name in names)
    return first == second


@pytest.mark.parametrize("row", range(8))
def test_the_prediction_is_the_models_and_the_counterfactual_aims_at_the_other_class(
    explained, tiny_data, row
) -> None:
    image = tiny_data.test.images[row]
    with torch.no_grad():
        probabilities = explained.probabilities(tensor(image))[0].tolist()
        score = explained.read(tensor(image)).scope.item()
    explanation = explain(explained, image)
    called = explained.classes[int(probabilities[1] >= explained.threshold)]
    assert explanation.prediction.label == called
    assert explanation.prediction.probabilities == dict(
        zip(explained.classes, probabilities, strict=True)
    )
    assert explanation.prediction.scope_score == score
    assert {called, explanation.counterfactual.target} == set(explained.classes)


def test_scope_is_judged_by_the_models_threshold(explained, image) -> None:
    score = explain(explained, image).prediction.scope_score
    for threshold, within in ((score * 1.01, True), (score * 0.99, False)):
        explained.scope_threshold.fill_(threshold)
        assert explain(explained, image).prediction.in_scope == within


def test_the_operating_point_decides_what_is_called(explained, image) -> None:
    odds = explain(explained, image).evidence.logit
    for boundary, label in ((odds - 0.1, 1), (odds + 0.1, 0)):
        explained.decision_logit.fill_(boundary)
        explanation = explain(explained, image)
        assert explanation.prediction.label == explained.classes[label]
        assert explanation.counterfactual.target == explained.classes[1 - label]


def test_its_parts_are_those_that_the_functions_of_the_room_give(
    explained, image, reference, tiny_config
) -> None:
    x, explanation = tensor(image), explain(explained, image, detail="full")
    noise = tiny_config.train.noise
    assert noise > 0, "the copies are in the noise that the model was trained with"
    local = local_evidence(explained, x, reference.states, noise)
    local = checked(explained, x, local, reference.class_means[0])
    local = replace(local, ground=explained.classes[0])
    assert same(explanation.local_evidence, local) and local.check is not None
    assert same(explanation.evidence, evidence(explained, x))
    assert same(explanation.neighbours, nearest(explained, reference, x))
    assert same(explanation.layer_evidence, layer_evidence(explained, x))
    assert same(explanation.likelihood_ratio, likelihood_ratio(explained, x))
    assert same(explanation.head, head_view(explained, x))


def test_reconstruction_is_exact_and_says_by_how_much(explained, image) -> None:
    found = explain(explained, image).reconstruction
    assert found.exact and (found.image.round() == image[0]).all()
    assert found.max_abs_error == np.abs(found.image - image[0]).max() > 0
    assert found.dtype == "float32" and found.bits == 8


def test_each_detail_adds_parts_and_changes_none(explained, image) -> None:
    brief, report, full = (explain(explained, image, detail=detail) for detail in DETAILS)

    def given(explanation: Explanation) -> set[str]:
        parts = {field.name for field in fields(explanation)}
        return {name for name in parts if getattr(explanation, name) is not None}

    always = given(brief)
    assert always == {
        "prediction", "reconstruction", "evidence", "local_evidence", "counterfactual",
        "towards", "against", "tried",
    }  # fmt: skip
    assert given(report) == always | BY_REPORT and given(full) == always | BY_REPORT | BY_FULL
    for name in given(brief):
        assert same(getattr(brief, name), getattr(full, name)), name
    for name in given(report):
        assert same(getattr(report, name), getattr(full, name)), name


def test_it_is_the_same_whatever_random_numbers_were_drawn_before(explained, image) -> None:
    torch.manual_seed(1)
    first = explain(explained, image, detail="full")
    torch.manual_seed(2)
    state = torch.get_rng_state()
    assert same(first, explain(explained, image, detail="full"))
    assert torch.equal(state, torch.get_rng_state()), "and it leaves the generator alone"


def test_without_a_reference_the_rest_is_still_there(explained, image) -> None:
    explained.reference = None
    explanation = explain(explained, image, detail="report")
    assert explanation.local_evidence is None and explanation.neighbours is None
    assert explanation.counterfactual.method == "direction"
    assert {control.name for control in explanation.sanity.changes} == {"noise", "blur"}
    assert {one.of for one in explanation.sanity.likenesses} == {"evidence"}
    assert "local_evidence" not in arrays(explanation)


def test_a_reference_without_states_gives_no_local_evidence(explained, image, reference) -> None:
    explained.reference = replace(reference, states={})
    explanation = explain(explained, image, detail="report")
    assert explanation.local_evidence is None and explanation.neighbours is not None


def test_its_figures_are_json_and_its_arrays_have_names(explained, image) -> None:
    explanation = explain(explained, image, detail="full")
    written = json.loads(json.dumps(scalars(explanation), allow_nan=False))
    edit, local = explanation.counterfactual, explanation.local_evidence
    assert written["counterfactual"]["valid"] == edit.valid
    assert written["counterfactual"]["residual"] == abs(edit.logit - edit.target_logit)
    assert written["local_evidence"]["valid"] == local.check.valid
    assert written["local_evidence"]["check"]["elsewhere"] == list(local.check.elsewhere)
    assert written["trace"]["exact"] is True
    assert written["trace"]["depths"][0]["name"] == explanation.trace.depths[0].name
    assert written["prediction"]["probabilities"] == explanation.prediction.probabilities
    assert "image" not in written["trace"]["depths"][0] and "strip" not in written["counterfactual"]
    named = arrays(explanation)
    assert set(written).isdisjoint({"strip", "difference"}) and len(named["strip"]) == 5
    assert (named["difference"] == edit.image - image[0].astype(float)).all()
    assert (named["counterfactual"] == edit.image).all()
    assert named["evidence"].sum() == pytest.approx(
        written["evidence"]["logit"] - written["evidence"]["bias"]
    )
    assert (named["local_evidence"] == local.locations).all()
    assert (named["reconstruction"] == explanation.reconstruction.image).all()
    for number, depth in enumerate(explanation.layer_evidence):
        assert (named[f"evidence_depth_{number:03d}"] == depth.locations).all()
    assert (named["control_blur"] == explanation.sanity.changes[1].image).all()
    assert (named["stage_level_1"] == explanation.trace.stages[-1].image).all()
    assert np.allclose(named["head_without"] + named["head_seen"], image[0])
    assert (named["likelihood_ratio"] == explanation.likelihood_ratio.locations).all()


def test_what_was_not_asked_for_is_none_in_the_json(explained, image) -> None:
    written = scalars(explain(explained, image))
    assert all(written[name] is None for name in BY_REPORT | BY_FULL)


@pytest.mark.parametrize(
    "wrong",
    [np.zeros((16, 16), np.uint8), np.zeros((1, 8, 8), np.uint8), np.zeros((1, 16, 16), float)],
    ids=["no channels", "other size", "no grey levels"],
)
def test_an_image_that_is_no_network_input_is_refused(explained, wrong) -> None:
    with pytest.raises(ShapeError, match=r"\(1, 16, 16\) uint8; got"):
        explain(explained, wrong)


def test_a_detail_that_is_not_there_is_refused(explained, image) -> None:
    with pytest.raises(ConfigError, match="brief, report, full; got 'long'"):
        explain(explained, image, detail="long")
