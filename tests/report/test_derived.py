"""What follows from a result and a card: what may be shown, what is told, what contradicts."""

import math
from dataclasses import replace

import numpy as np
import pytest
from made import edited, evidence_of, explanation_with, first

from medinv.analysis.result import Failure, Problem
from medinv.explanation.evidence import regional
from medinv.report import derived, strings


def odds(probability: float) -> float:
    return math.log(probability / (1 - probability))


def test_out_of_scope_nothing_is_told_and_nothing_explained(outside, clear):
    image = first(outside)
    assert image.probabilities, "the row keeps them"
    told = edited(outside, explanation=first(clear).explanation)
    told = told.model_copy(update={"probabilities": dict(image.probabilities)})
    shown = derived.presented(told)
    assert shown.answer is None and shown.called is None
    assert first(shown).probabilities == {} and first(shown).explanation is None
    assert shown.series[0].probabilities is None
    assert first(shown).scope.reasons == image.scope.reasons
    assert derived.presented(shown) == shown


def test_a_series_out_of_scope_tells_no_probability(pair):
    series = pair.series[0].model_copy(update={"label": "out of scope"})
    shown = derived.presented(pair.model_copy(update={"series": (series, pair.series[1])}))
    assert shown.series[0].probabilities is None and shown.series[1].probabilities


def test_one_image_out_of_scope_does_not_withhold_the_other(pair):
    scope = pair.instances[1].scope.model_copy(update={"in_scope": False})
    shown = derived.presented(edited(pair, 2, scope=scope))
    assert [image.called for image in shown.instances] == ["clear", None]
    assert shown.instances[0].explanation is pair.instances[0].explanation
    assert [number for number, _ in derived.ranked(shown)] == [1, 2]
    assert derived.in_scope_count(shown) == 1


def test_images_stand_by_falling_probability_of_the_finding(pair):
    assert [number for number, _ in derived.ranked(pair)] == [2, 1]
    assert [image.label for _, image in derived.ranked(pair)] == ["opacity", "clear"]


def test_of_two_classes_the_second_is_told_whatever_is_called(opacity, clear):
    for result in (opacity, clear):
        assert result.answer == ("opacity", result.probabilities["opacity"], ())
        assert first(result).answer == result.answer
        assert result.series[0].answer == result.answer
    assert (opacity.called, clear.called) == ("opacity", "clear")


def test_evidence_speaks_for_the_second_class_against_the_first(opacity, card_of):
    assert derived.contrast(first(opacity), card_of(opacity)) == ("opacity", "clear", True)


def test_images_that_decided_a_series_are_known_by_their_numbers(pair):
    assert [derived.numbers(pair, one) for one in pair.series] == [(1,), (2,)]


def test_a_consistent_result_has_no_warnings_but_its_own(classified, card_of):
    for result in classified:
        assert derived.warnings(result, card_of(result)) == result.warnings
    told = classified[0].model_copy(update={"warnings": ("a file was lost",)})
    assert derived.warnings(told, card_of(told)) == ("a file was lost",)


@pytest.mark.parametrize(("probability", "label"), [(0.9, "clear"), (0.1, "opacity")])
def test_a_label_that_contradicts_the_operating_point_is_warned_of(
    opacity, card_of, probability, label
):
    named = {"clear": 1 - probability, "opacity": probability}
    wrong = opacity.model_copy(update={"label": label, "probabilities": named, "instances": ()})
    (warning,) = derived.warnings(wrong, card_of(opacity))
    threshold = card_of(opacity).operating_point.threshold
    assert label in warning and f"{100 * probability:.1f}" in warning
    assert strings.percent(threshold) in warning


def test_at_the_operating_point_itself_the_finding_is_called(opacity, card_of):
    threshold = card_of(opacity).operating_point.threshold
    named = {"clear": 1 - threshold, "opacity": threshold}
    at = opacity.model_copy(update={"probabilities": named, "instances": ()})
    assert derived.warnings(at, card_of(opacity)) == ()


def test_an_explanation_of_another_answer_is_warned_of(pair, card_of):
    logit = pair.instances[1].explanation.evidence.logit
    for wrong, number in ((logit + 0.1, 2), (-logit, 2)):
        told = edited(pair, number, explanation={"evidence": {"logit": wrong}})
        (warning,) = derived.warnings(told, card_of(pair))
        assert warning.startswith(f"Image {number}:") and strings.signed(wrong) in warning


def test_weights_other_than_the_cards_are_warned_of_and_named(opacity, card_of):
    used = opacity.model.model_copy(update={"sha256": "ab" * 32})
    told = opacity.model_copy(update={"model": used})
    (warning,) = derived.warnings(told, card_of(opacity))
    assert "abababababab" in warning and card_of(opacity).weights_sha256[:12] in warning
    assert derived.hashes(told, card_of(opacity))["weights_sha256"] == "ab" * 32


def test_balance_adds_up_to_the_logit_by_pixel_by_region_and_by_place(opacity):
    evidence, local = first(opacity).explanation.evidence, first(opacity).explanation.local_evidence
    for values in (evidence.contributions, regional(evidence.contributions)):
        sums = derived.balance(values)
        assert sums.towards > 0 > sums.against
        total = sums.towards + sums.against + evidence.bias
        assert total == pytest.approx(evidence.logit, abs=1e-9)
    sums = derived.balance(local.locations)
    total = sums.towards + sums.against + local.bias + local.jitter
    assert total == pytest.approx(evidence.logit, abs=1e-9)
    assert sums.towards == pytest.approx(np.maximum(local.locations, 0).sum())


@pytest.mark.parametrize(
    ("at", "place"), [((7, 0), (2, 0)), ((0, 2), (0, 0)), ((3, 3), (1, 1)), ((4, 5), (1, 2))]
)
@pytest.mark.parametrize("largest", [-5.0, 5.0])
def test_balance_says_in_which_ninth_the_largest_contribution_lies(at, place, largest):
    values = np.full((8, 8), 0.1)
    values[at] = largest
    found = derived.balance(values)
    assert (found.ninth, found.largest) == (place, largest)
    assert found.against == min(largest, 0)


@pytest.mark.parametrize(
    ("at", "place"), [((9, 7), (0, 0)), ((17, 8), (1, 0)), ((20, 13), (2, 2)), ((8, 15), (0, 2))]
)
def test_within_a_region_a_place_is_told_by_the_regions_own_extent(at, place):
    """Two lungs have no centre: a place is in the one on the left or in that on the right."""
    lungs, values = np.zeros((32, 32), bool), np.zeros((32, 32))
    lungs[8:23, 4:9] = lungs[8:23, 13:18] = True
    values[at] = 1.0
    assert derived.balance(values, lungs).ninth == place
    assert derived.balance(values[None], lungs[None]).ninth == place


@pytest.mark.parametrize(
    ("orientation", "letters"),
    [
        (("L", "F"), ("R", "L")),
        (("A", "F"), ("P", "A")),
        (("H", "F"), ("F", "H")),
        (("LF", "P"), ("RH", "LF")),
        (("", ""), None),
        ((), None),
        (None, None),
        (("<b>", "F"), None),
    ],
)
def test_edge_letters_follow_patient_orientation(orientation, letters):
    assert derived.edge_letters(orientation) == letters


def test_bounds_of_a_probability_are_the_cards_at_its_own_log_odds(opacity, card_of):
    calibration = card_of(opacity).calibration
    fit = calibration.interval
    for k in (0, len(fit.log_odds) // 2, len(fit.log_odds) - 1):
        found = derived.uncertainty(calibration, derived.sigmoid(fit.log_odds[k]))
        assert odds(found.low) == pytest.approx(min(fit.low[k], fit.log_odds[k]), abs=1e-6)
        assert odds(found.high) == pytest.approx(max(fit.high[k], fit.log_odds[k]), abs=1e-6)
        assert (found.images, found.patients) == (fit.images, fit.patients)


def test_beyond_the_last_bounds_move_on_alike_and_hold_the_probability(opacity, card_of):
    calibration = card_of(opacity).calibration
    fit = calibration.interval
    found = derived.uncertainty(calibration, derived.sigmoid(fit.log_odds[-1] + 2))
    assert odds(found.low) == pytest.approx(fit.low[-1] + 2, abs=1e-6)
    for probability in (0.0, 0.3, 0.9999, 1.0):
        found = derived.uncertainty(calibration, probability)
        assert found.low <= probability <= found.high


def test_observed_share_is_that_of_images_alike_or_none(opacity, card_of):
    calibration = card_of(opacity).calibration
    one = calibration.observed[0]
    for probability in (one.low, (one.low + one.high) / 2):
        assert derived.uncertainty(calibration, probability).observed == one
    assert derived.uncertainty(calibration, one.high).observed != one
    last = one.model_copy(update={"low": 0.9, "high": 1.0})
    only = calibration.model_copy(update={"observed": (last,)})
    assert derived.uncertainty(only, 1.0).observed == last
    assert derived.uncertainty(only, 0.5).observed is None
    without = calibration.model_copy(update={"interval": None})
    assert derived.uncertainty(without, 0.5) is None


def test_a_share_fits_where_either_interval_holds_the_other(opacity, card_of):
    calibration = card_of(opacity).calibration
    one = calibration.observed[0]

    def seen(value: float, low: float, high: float) -> bool | None:
        share = one.share.model_copy(update={"value": value, "low": low, "high": high})
        alike = one.model_copy(update={"low": 0.0, "high": 1.0, "share": share})
        told = calibration.model_copy(update={"observed": (alike,)})
        return derived.uncertainty(told, 0.5).observed_covers(0.5)

    assert seen(0.6, 0.4, 0.7) is True and seen(0.5, 0.45, 0.48) is True
    assert seen(0.05, 0.01, 0.1) is False and seen(0.95, 0.9, 0.99) is False
    none = calibration.model_copy(update={"observed": ()})
    assert derived.uncertainty(none, 0.5).observed_covers(0.5) is None


def test_where_several_images_decide_there_is_no_interval(pair, opacity, clear, card_of):
    card = card_of(pair)
    mean = pair.model_copy(update={"probabilities": {"clear": 0.4, "opacity": 0.6}})
    assert derived.several_decide(mean) and derived.study_uncertainty(mean, card) is None
    assert not derived.several_decide(pair) and not derived.several_decide(opacity)
    assert derived.study_uncertainty(pair, card) == derived.study_uncertainty(opacity, card)
    for result in (opacity, clear):
        told = result.answer.probability
        found = derived.study_uncertainty(result, card)
        assert found == derived.uncertainty(card.calibration, told)


def test_levels_take_the_depths_of_the_trunk_together(opacity):
    trace = first(opacity).explanation.trace
    levels = derived.levels(trace)
    assert sum(level.layers for level in levels) == len(trace.depths)
    worst = derived.worst(trace)
    assert worst.condition_number == max(depth.condition_number for depth in trace.depths)
    assert max(level.condition_number for level in levels) == worst.condition_number
    assert max(level.max_abs_error for level in levels) == trace.max_abs_error
    last = trace.depths[-1]
    assert levels[-1].goes_on == math.prod(last.shape)
    for level in levels:
        mine = [depth for depth in trace.depths if depth.name.split(", ")[0] == level.name]
        assert level.layers == len(mine)
        assert level.condition_number == max(depth.condition_number for depth in mine)


def test_controls_that_flip_are_named(normal, opacity, clear):
    for result in (normal, opacity, clear):
        sanity = first(result).explanation.sanity
        flipped = tuple(control.name for control in sanity.changes if control.flipped)
        assert derived.flipping(sanity) == flipped
        one, *others = (replace(control, flipped=False) for control in sanity.changes)
        some = replace(sanity, changes=(replace(one, flipped=True), *others))
        assert derived.flipping(some) == (one.name,)


def test_what_was_taken_in_is_told_of_the_frame_that_was_explained(opacity, card_of):
    frame = first(opacity).pixels
    said = derived.intake(first(opacity), card_of(opacity))
    assert said == f"{frame.policy}; {card_of(opacity).intake}" == first(opacity).intake


def test_an_image_that_is_not_explained_cannot_be_spoken_of_as_if(outside):
    with pytest.raises(ValueError, match="explain it first"):
        derived.explained(first(outside))


def test_helpers_of_these_tests_change_what_they_say(opacity):
    """The other tests rest on them."""
    changed = explanation_with(first(opacity).explanation, reconstruction={"exact": False})
    assert not changed.reconstruction.exact and first(opacity).explanation.reconstruction.exact
    assert evidence_of(first(opacity)) is first(opacity).explanation.local_evidence.locations


def test_no_name_of_a_file_stands_in_what_a_report_says(opacity):
    """A path may hold a patient's name, and a message names another file of the study."""
    names = ("/in/doe^jane/1.dcm", "/in/doe^jane/1.dcm.copy", first(opacity).path)
    problems = tuple(
        Problem(stage="index", code="x", message=f"the same content as {name}", source=names[k - 1])
        for k, name in enumerate(names)
    )
    failure = Failure(stage="index", code="x", message=f"{names[0]} and {names[1]} differ")
    shown = derived.presented(
        opacity.model_copy(update={"skipped": problems, "broken": problems[:1], "error": failure})
    )
    assert {one.message for one in (*shown.skipped, *shown.broken)} == {
        "the same content as another file"
    }
    assert shown.error.message == "another file and another file differ"
    assert derived.presented(shown) == shown
