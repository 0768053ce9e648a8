"""JSON: every fact of the result with its unit, no array, no name."""

import json
from typing import Any

import numpy as np
import pytest
from made import edited, evidence_of, first

from medinv.report import derived
from medinv.report.json import GREY, ODDS, SCHEMA

ATTACK = "</script><script>alert(1)</script>"


def walk(value: Any, path: str = ""):
    """Every leaf with its path."""
    items = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    for key, item in items:
        yield from walk(item, f"{path}/{key}")
    if not isinstance(value, dict | list):
        yield path, value


@pytest.fixture
def facts(rendered):
    return lambda result: json.loads(rendered(result, "json"))


def test_the_answer_is_the_results(facts, opacity, clear, card_of):
    for result in (opacity, clear):
        found = facts(result)
        assert found["schema"] == SCHEMA and "not for diagnosis" in found["disclaimer"]
        assert found["label"] == result.label and found["status"] == "ok" and found["in_scope"]
        named = {name: one["value"] for name, one in found["probabilities"].items()}
        assert named == result.probabilities
        sure = derived.study_uncertainty(result, card_of(result))
        ends = found["uncertainty"]["low"]["value"], found["uncertainty"]["high"]["value"]
        assert ends == (sure.low, sure.high)
        assert found["uncertainty"] == found["images"][0]["uncertainty"]
        assert found["seconds"] == {"value": result.seconds, "unit": "s"}


def test_the_explanation_is_the_results_with_its_units(facts, opacity, clear):
    for result in (opacity, clear):
        given, found = first(result).explanation, facts(result)["images"][0]["explanation"]
        evidence, values = found["evidence"], given.evidence.contributions
        assert evidence["logit"] == {"value": given.evidence.logit, "unit": ODDS}
        assert evidence["residual"]["value"] == given.evidence.residual
        assert evidence["towards"]["value"] == pytest.approx(values[values > 0].sum())
        assert evidence["against"]["value"] == pytest.approx(values[values < 0].sum())
        assert abs(evidence["largest"]["value"]) == np.abs(values).max()
        terms = sum(evidence[name]["value"] for name in ("constant", "towards", "against"))
        assert terms == pytest.approx(given.evidence.logit)
        edit, made = found["counterfactual"], given.counterfactual
        assert edit["rms"] == {"value": made.rms, "unit": GREY} and edit["valid"] is True
        assert edit["target"] == made.target
        for name in ("logit", "target_logit", "out_of_range", "changed"):
            assert edit[name]["value"] == getattr(made, name)
        trip = found["reconstruction"]
        assert trip["exact"] is True and trip["max_abs_error"]["unit"] == GREY


def test_local_evidence_carries_sum_residual_depths_and_check(facts, opacity):
    given, values = first(opacity).explanation.local_evidence, evidence_of(first(opacity))
    found = facts(opacity)["images"][0]["explanation"]["local_evidence"]
    terms = [found[name]["value"] for name in ("constant", "towards", "against")]
    assert sum(terms) == pytest.approx(found["logit"]["value"]) == pytest.approx(given.logit)
    assert terms[1] == pytest.approx(values[values > 0].sum())
    assert (found["usual"]["value"], found["jitter"]["value"]) == (given.bias, given.jitter)
    assert found["pixels_a_side"] == given.grain and found["depths"] == list(given.depths)
    assert found["claimed"] is True and found["check"]["fall"]["value"] == given.check.fall
    assert found["check"]["share_replaced"]["value"] == given.check.share
    elsewhere = [one["value"] for one in found["check"]["fall_elsewhere"]]
    assert elsewhere == list(given.check.elsewhere)
    without = edited(opacity, explanation={"local_evidence": None})
    assert facts(without)["images"][0]["explanation"]["local_evidence"] is None


def test_what_stands_beside_the_explanation(facts, opacity, pair):
    given, found = first(opacity).explanation, facts(opacity)["images"][0]["background"]
    trace = found["trace"]
    assert [one["name"] for one in trace["depths"]] == [one.name for one in given.trace.depths]
    numbers = [one["condition_number"]["value"] for one in trace["depths"]]
    assert numbers == [one.condition_number for one in given.trace.depths]
    shares = [one["energy_share"]["value"] for one in trace["stages"]]
    assert shares == [one.energy_share for one in given.trace.stages]
    near = found["nearest"]
    assert near["valid"] is True and near["chance"]["value"] == given.neighbours.chance
    assert [case["training_row"] for case in near["cases"]] == list(given.neighbours.ids)
    assert [case["label"] for case in near["cases"]] == list(given.neighbours.labels)
    for one, told in zip(given.sanity.changes, found["controls"]["changes"], strict=True):
        assert (told["name"], told["flipped"]) == (one.name, one.flipped)
        assert (told["logit"]["value"], told["cosine"]["value"]) == (one.logit, one.cosine)
    for one, told in zip(given.sanity.likenesses, found["controls"]["likenesses"], strict=True):
        assert told["rank_correlation"]["value"] == one.rank_correlation
    bare = {"trace": None, "nearest": None, "controls": None, "smallest_part": None}
    assert facts(pair)["images"][0]["background"] == bare, "only the deciding image is told in full"


def test_what_is_drawn_is_the_frame(facts, opacity):
    frame, found = first(opacity).pixels, facts(opacity)["images"][0]["drawn"]
    assert (found["rows"], found["columns"]) == frame.display.shape
    assert [one["value"] for one in found["spacing"]] == list(frame.spacing)
    letters = derived.edge_letters(frame.orientation)
    assert (found["left_edge"], found["right_edge"]) == letters


def test_series_and_images_of_a_study(facts, pair):
    found = facts(pair)
    assert [one["number"] for one in found["images"]] == [1, 2]
    assert [one["deciding"] for one in found["series"]] == [[1], [2]]
    assert [one["label"] for one in found["series"]] == ["clear", "opacity"]
    for one, series in zip(found["series"], pair.series, strict=True):
        assert one["probability"]["value"] == series.probabilities["opacity"]


def test_the_model_is_the_cards(facts, opacity, card_of):
    card, found = card_of(opacity), facts(opacity)["model"]
    for name, measured in card.metrics.items():
        told = found["metrics"][name]
        ends = (told["value"], told["low"], told["high"], told["cases"])
        assert ends == (measured.value, measured.low, measured.high, measured.n)
    point = found["operating_point"]
    assert point["threshold"]["value"] == card.operating_point.threshold
    assert point["sensitivity"]["value"] == card.operating_point.sensitivity.value
    assert point["specificity"]["value"] == card.operating_point.specificity.value
    assert "interval" not in found["calibration"] and "observed" not in found["calibration"]
    assert len(found["observed"]) == len(card.calibration.observed)
    assert found["limits"] == list(card.limits) and found["splits"] == card.splits
    assert found["origin"]["seed"] == card.seed
    assert found["hashes"]["weights_sha256"] == opacity.model.sha256


def test_every_number_that_is_no_count_has_a_unit_and_nothing_is_an_array(facts, opacity):
    leaves = dict(walk(facts(opacity)))
    ends = ("/value", "/low", "/high", "/level")
    bare = {
        path
        for path, value in leaves.items()
        if isinstance(value, float) and not path.endswith(ends)
    }
    known = ("probability_from", "probability_below", "height_over_width")
    assert not {
        path for path in bare if not path.startswith("/model/") and not path.endswith(known)
    }
    assert len(leaves) < 1500


def test_what_may_not_be_shown_is_not_written(facts, outside, clear, rendered):
    told = edited(outside, explanation=first(clear).explanation)
    found = facts(told)
    assert found["label"] is None and found["probabilities"] == {} and found["uncertainty"] is None
    image = found["images"][0]
    assert image["label"] is None and image["probabilities"] == {}
    assert image["explanation"] is None and image["background"] is None
    assert image["scope"]["in_scope"] is False and image["scope"]["reasons"]
    assert image["scope"]["score"]["value"] == first(outside).scope.score
    assert str(first(outside).probabilities["pneumonia"])[:8] not in json.dumps(found)


def test_paths_stay_out_and_strings_from_outside_are_only_strings(facts, opacity, failed, rendered):
    told = opacity.model_copy(update={"warnings": (ATTACK,), "study_uid": ATTACK})
    assert facts(told)["warnings"] == [ATTACK]
    for result in (opacity, failed):
        assert ".dcm" not in rendered(result, "json").decode("utf-8")
    found = facts(failed)
    assert found["error"]["code"] == "pixel-data" and found["broken"][0]["code"] == "pixel-data"


def test_values_that_are_not_numbers_are_no_json(rendered, opacity):
    broken = edited(opacity, explanation={"reconstruction": {"max_abs_error": float("nan")}})
    with pytest.raises(ValueError, match="JSON"):
        rendered(broken, "json")
