"""The page and the PDF say the same, and what they say is what the result holds."""

from dataclasses import replace

import numpy as np
import pytest
from made import edited, evidence_of, explanation_with, first

from medinv.explanation.place import placed
from medinv.report import strings

FORMS = ("html", "pdf")
pytestmark = pytest.mark.parametrize("form", FORMS)


def fixed(value: float) -> str:
    return f"{value:+.4f}".replace("-", "\u2212")


def percent(share: float) -> str:
    if 0 < share < 0.0005:
        return "under 0.1 %"
    return "over 99.9 %" if 0.9995 <= share < 1 else f"{100 * share:.1f} %"


def test_the_answer_with_its_probability_and_operating_point(form, words, opacity, clear, card_of):
    point = card_of(opacity).operating_point
    for result, side in ((opacity, "at or above"), (clear, "below")):
        said, share = words(result, form), percent(result.probabilities["opacity"])
        for sentence in (
            f"The model calls this image {result.label}.",
            f"The calibrated probability of opacity is {share}, {side} the operating point of "
            f"{percent(point.threshold)}.",
            f"It answers opacity from {percent(point.threshold)} up.",
            f"sensitivity {point.sensitivity.value:.3f} ({point.sensitivity.low:.3f} to "
            f"{point.sensitivity.high:.3f}) and specificity {point.specificity.value:.3f} ("
            f"{point.specificity.low:.3f} to {point.specificity.high:.3f})",
            f"Study {result.study_uid}",
        ):
            assert sentence in said
        assert strings.RESEARCH_USE in said and result.label.title() in said


def test_the_decision_step_by_step(form, words, opacity, clear, card_of):
    point = percent(card_of(opacity).operating_point.threshold)
    for result, side in ((opacity, "at or above"), (clear, "below")):
        told = words(result, form).split(strings.HOW_HEADING)[1].split(strings.AT_A_GLANCE)[0]
        local = first(result).explanation.local_evidence
        values = local.locations
        for value, what in (
            (fixed(local.bias + local.jitter), "the answer to what is expected of clear images"),
            (fixed(values[values > 0].sum()), "places that speak for opacity (orange)"),
            (fixed(values[values < 0].sum()), "places that speak for clear (blue)"),
            (fixed(local.logit), "their sum: the log-odds of opacity"),
            (percent(result.probabilities["opacity"]), "the same as a calibrated probability"),
        ):
            assert told.count(value) >= 1 and what in told
        assert f"the label, since {side} the operating point of {point}" in told


def test_where_the_evidence_lies_and_what_was_checked(form, words, opacity, clear):
    names = ("upper", "middle", "lower"), ("left", "centre", "right")
    for result, sign in ((opacity, 1), (clear, -1)):
        said, values = words(result, form), evidence_of(first(result))
        towards, against = placed(sign * values), placed(-sign * values)
        at = np.unravel_index(towards.argmax(), values.shape)
        ninth = [name[3 * k // side] for name, k, side in zip(names, at, values.shape, strict=True)]
        assert f"The place that weighs most lies in the {' '.join(ninth)} of the image" in said
        assert f"as displayed, towards {result.label}." in said
        check = first(result).explanation.local_evidence.check
        assert f"speaks most for {result.label}, replaced by the mean training image" in said
        fall = f"{check.fall:.3f}" if check.fall < 1 else f"{check.fall:.2f}"
        assert f"labelled clear, takes {fall} log-odds from that answer" in said
        assert f"the same shape at {len(check.elsewhere)} other places takes at most" in said
        assert f"\u00b1{strings.number(np.abs(towards - against).max())} log-odds per pixel" in said
        assert "Orange places push the answer towards opacity, blue places towards clear" in said
        assert "No place can be named" not in said


def test_no_place_is_named_where_the_check_failed(form, words, opacity):
    local = first(opacity).explanation.local_evidence
    most = max(local.check.elsewhere)
    for fall, effect in ((most - 0.1, "takes"), (-1.5, "adds 1.50 log-odds to that answer")):
        check = type(local.check)(local.check.share, fall, local.check.elsewhere)
        said = words(edited(opacity, explanation={"local_evidence": {"check": check}}), form)
        assert "No place can be named." in said and effect in said
        assert "weighs most" not in said and "Where the evidence lies" in said


def test_the_certificate_and_the_identity(form, words, opacity):
    explanation = first(opacity).explanation
    trip, evidence = explanation.reconstruction, explanation.evidence
    values = evidence.contributions
    said = words(opacity, form)
    for sentence in (
        f"Exact: all {trip.image.size:,} stored values came back after rounding ({trip.bits} bit, "
        f"arithmetic in {trip.dtype}).",
        f"Pixels above zero {fixed(values[values > 0].sum())}",
        f"Pixels below zero {fixed(values[values < 0].sum())}",
        f"Constant (no pixel carries it) {fixed(evidence.bias)}",
        f"Logit that the network computes {fixed(evidence.logit)}",
        f"Residual of the sum {strings.number(evidence.residual, 2)}".replace("\u00a0", " "),
        f"Stored pixels, SHA-256 {first(opacity).stored_sha256}",
    ):
        assert sentence in said
    assert "Not exact" not in said


def test_failed_checks_are_not_dressed_up(form, words, opacity):
    explanation = first(opacity).explanation
    bad = explanation_with(
        explanation,
        reconstruction={"exact": False, "max_abs_error": 0.8},
        counterfactual={"flipped": False},
    )
    said = words(edited(opacity, explanation=bad), form)
    assert "Not exact: not all of the" in said and "Distrust the explanation." in said
    assert "No counterfactual for \u201cclear\u201d" in said and "Exact:" not in said
    assert "What would have made" not in said and "is not called clear" in said
    assert "of the same size" not in said, "controls beside an edit that is not shown"


def test_an_edit_that_left_the_kind_is_not_shown_though_it_flips(form, words, opacity):
    strange = edited(opacity, explanation={"counterfactual": {"in_scope": False}})
    said = words(strange, form)
    assert "No counterfactual" in said and "its likelihood is out of scope" in said
    assert "not an image of the model's kind by its likelihood. It is therefore not shown" in said


def test_the_counterfactual_says_how_it_was_made_and_how_large_it_is(form, words, opacity, clear):
    for result, made in ((opacity, "what is filled in is expected"), (clear, "brightening")):
        edit = first(result).explanation.counterfactual
        said = words(result, form)
        for sentence in (
            f"What would have made the answer \u201c{edit.target}\u201d",
            made,
            f"it has log-odds {strings.signed(edit.logit)}: the answer is now {edit.target}.",
            f"by {strings.number(edit.rms)} grey levels RMS, by more than 2 in "
            f"{percent(edit.changed)} of its pixels",
            f"{percent(edit.out_of_range)} of its pixels left the range",
            f"anew, is now called {edit.target}, and its likelihood is in scope.",
        ):
            assert sentence in said


@pytest.mark.parametrize(
    ("method", "sentence"),
    [
        ("direction", "decoded from its own features"),
        ("transport", "does not come from the model"),
        ("exchange", "belongs to somebody else"),
        ("brightening", "the shape was given beforehand"),
    ],
)
def test_what_does_not_come_from_the_model_is_said(form, words, opacity, method, sentence):
    told = edited(opacity, explanation={"counterfactual": {"method": method}})
    assert sentence in words(told, form)


def test_similar_cases_by_their_labels_beside_chance(form, words, opacity):
    near = first(opacity).explanation.neighbours
    said = words(opacity, form)
    for sentence in (
        "The 5 training cases nearest by what decides are labelled: 4 opacity, 1 clear. "
        f"Drawn by chance, {percent(near.chance)} would be opacity.",
        f"lies at {near.distances[0]:.2f} standard deviations; for validation images this is "
        f"{near.typical[0]:.2f} in the median and up to {near.typical[1]:.2f}",
        f"recovers {percent(near.recovered)} of the pixels' variance",
    ):
        assert sentence in said


def test_a_far_case_is_not_called_similar(form, words, opacity):
    near = first(opacity).explanation.neighbours
    far = (near.typical[1] + 0.1, *near.distances[1:])
    said = words(edited(opacity, explanation={"neighbours": {"distances": far}}), form)
    assert "no training case is near enough to be called similar" in said
    assert "nearest by what decides" not in said and "Row of the training set" not in said


def test_the_decoded_depths_with_the_worst_of_them(form, words, opacity):
    trace = first(opacity).explanation.trace
    worst = max(trace.depths, key=lambda depth: depth.condition_number)
    deciding, total = trace.stages[0], sum(stage.values for stage in trace.stages)
    said = words(opacity, form)
    for sentence in (
        f"Decoding from each of {len(trace.depths)} depths of the network gives every stored",
        f"at this image is {worst.name}: {strings.number(worst.condition_number)}.",
        f"What decides: {deciding.values:,} of {total:,} numbers, "
        f"{percent(deciding.energy_share)} of the features' squared length; it accounts for "
        f"{percent(deciding.variance_explained)} of the image's contrast.",
    ):
        assert sentence in said
    assert said.count("What decides:") == 1


def test_controls_with_what_they_did(form, words, opacity, normal):
    said = words(opacity, form)
    sanity = first(opacity).explanation.sanity
    assert "None of 3 other changes of the same size makes the answer clear." in said
    for one in sanity.changes:
        cells = (one.name, strings.number(one.rms), strings.signed(one.logit), "no")
        assert " ".join(cells) in said
    for one in sanity.likenesses:
        alike = strings.number(one.cosine, 2), strings.number(one.rank_correlation, 2)
        assert f"{one.name} {one.of} {alike[0]} {alike[1]}".replace("\u00a0", " ") in said
    shown = edited(normal, explanation={"counterfactual": {"flipped": True, "in_scope": True}})
    flipping = [one.name for one in first(normal).explanation.sanity.changes if one.flipped]
    expected = f"make the answer pneumonia too: {', '.join(flipping)}." if flipping else "None of"
    assert expected in words(shown, form)


def test_what_is_not_given_is_said_to_be_missing(form, words, opacity):
    bare = edited(opacity, explanation={"trace": None, "neighbours": None, "sanity": None})
    said, full = words(bare, form), words(opacity, form)
    for missing in (strings.TRACE_NONE, strings.NEAREST_NONE, strings.CONTROLS_NONE):
        assert missing in said and missing not in full
    assert "nearest by what decides" not in said and "condition number at this" not in said


def test_how_sure_the_probability_is(form, words, opacity, clear, card_of):
    fit = card_of(clear).calibration.interval
    said = words(clear, form)
    assert "95 % interval" in said and strings.counted(fit.images, strings.IMAGES) in said
    assert f"of {fit.patients:,} patients" in said
    (seen,) = (one for one in card_of(clear).calibration.observed
               if one.low <= clear.probabilities["opacity"] < one.high)  # fmt: skip
    share = seen.share
    assert (
        f"{round(share.value * share.n):,} ({percent(share.value)}; 95 % interval "
        f"{percent(share.low)} to {percent(share.high)}) had the label opacity."
    ) in said


def test_a_share_that_contradicts_the_probability_is_said(form, words, clear, card_of):
    card = card_of(clear)
    one = card.calibration.observed[0]
    for value, low, high, contradicts in ((0.9, 0.8, 0.95, True), (0.2, 0.1, 0.3, False)):
        share = one.share.model_copy(update={"value": value, "low": low, "high": high})
        seen = one.model_copy(update={"low": 0.0, "high": 1.0, "share": share})
        calibration = card.calibration.model_copy(update={"observed": (seen,)})
        told = card.model_copy(update={"calibration": calibration})
        assert ("read it with caution" in words(clear, form, told)) is contradicts


def test_a_card_without_an_interval_says_so(form, words, clear, card_of):
    card = card_of(clear)
    calibration = card.calibration.model_copy(update={"interval": None})
    said = words(clear, form, card.model_copy(update={"calibration": calibration}))
    assert strings.UNCERTAINTY_UNKNOWN in said


def test_the_card_is_told_whole(form, words, opacity, normal, card_of):
    for result in (opacity, normal):
        card, said = card_of(result), words(result, form)
        for name, found in card.metrics.items():
            assert strings.METRIC_NAMES.get(name, name.replace("_", " ")) in said
            assert f"{found.value:.3f} {found.low:.3f} \u2013 {found.high:.3f} {found.n}" in said
        for told in (
            *card.limits, *card.not_tested, card.intended_use, card.training_data, card.intake,
            card.data_licence, ", ".join(card.classes),
            f"temperature inverse: {card.calibration.temperature_inverse:.4g}",
            f"brier: {card.calibration.brier.value:.3f} ({card.calibration.brier.low:.3f} to",
            f"share float64: {card.exactness.share_float64:.3f}",
            f"Seed {card.seed}", f"Parameters {card.parameters:,}",
        ):  # fmt: skip
            assert " ".join(told.split()) in said
        joined = said.replace(" ", "")
        for digest in (card.weights_sha256, card.config_sha256, card.data_sha256):
            assert digest in joined
        for seen in card.calibration.observed:
            cells = f"{percent(seen.share.low)} \u2013 {percent(seen.share.high)} {seen.share.n}"
            assert cells in said


def test_out_of_scope_shows_no_class_and_no_evidence(form, words, outside, clear):
    said = words(edited(outside, explanation=first(clear).explanation), form)
    assert strings.NO_LABEL in said and strings.SCOPE_REFUSAL in said
    assert f"score {first(outside).scope.score:.1f}, a distance" in said
    for absent in ("The model calls", "What would have made", "Reconstruction certificate",
                   "Where the evidence", "17.4 %", "82.6 %"):  # fmt: skip
        assert absent not in said


def test_a_study_without_a_result_says_why(form, words, failed, skipped):
    for result, headline in ((failed, strings.FAILED), (skipped, strings.SKIPPED)):
        said = words(result, form)
        assert headline in said and result.error.message in said
        assert f"(stage: {result.error.stage})" in said
        problem = (*result.broken, *result.skipped)[0]
        assert f"{problem.code}: {problem.message}" in said and ".dcm" not in said
    assert "could not be read" in words(failed, form) and "skipped" in words(skipped, form)


def test_a_study_of_several_images(form, words, pair):
    said = words(pair, form)
    high, low = (percent(image.probabilities["opacity"]) for image in pair.instances[::-1])
    for sentence in (
        "The model calls this study (2 images) opacity.",
        "The probability is that of one of 2 images in scope",
        "2 of 2 images drawn in full, in scope and highest probability first; the table has all.",
        f"Image 2: opacity, calibrated probability of opacity {high}",
        f"Image 1: clear, calibrated probability of opacity {low}",
        f"1 clear {low} opacity {pair.instances[0].sop_uid}",
        f"2 opacity {high} opacity {pair.instances[1].sop_uid}",
        "How images decide: the image in scope with the highest probability",
        "Reconstruction for all 2 images together: exact at 8 bit",
    ):
        assert sentence in said
    assert said.index("Image 2: opacity") < said.index("Image 1: clear")
    for number, one in enumerate(pair.series, start=1):
        cell = percent(one.probabilities["opacity"])
        assert f"{one.series_uid} {one.label} {cell} opacity 1 / 1 {number}" in said


def test_warnings_stand_on_the_first_screen(form, words, opacity, card_of):
    told = opacity.model_copy(update={"warnings": ("2 of the study's files could not be read",)})
    said = words(edited(told, warnings=("the window was guessed",)), form)
    assert said.index("2 of the study's files") < said.index(strings.HOW_HEADING)
    assert "Warning: the window was guessed." in said


def test_pixels_that_name_the_patient_are_not_drawn_and_it_is_said(form, words, opacity):
    frame = first(opacity).pixels
    for value, said in (("YES", strings.WITHHELD), (None, strings.MAY_NAME), ("NO", "")):
        instance = replace(frame.instance, burned_in_annotation=value)
        told = words(edited(opacity, pixels=replace(frame, instance=instance)), form)
        assert {one for one in (strings.WITHHELD, strings.MAY_NAME) if one in told} == {said} - {""}


def test_scale_and_sides_are_the_headers(form, words, opacity):
    frame = first(opacity).pixels
    rows, columns = frame.display.shape
    said = words(opacity, form)
    stated = " \u00d7 ".join(strings.number(value) for value in frame.spacing)
    assert f"by the header's spacing ({stated} mm)" in said
    assert f"{rows} \u00d7 {columns} pixels (height \u00d7 width)" in said
    assert "Letters from the header's patient orientation." in said
    silent = replace(frame, spacing=None, orientation=())
    said = words(edited(opacity, pixels=silent), form)
    assert "No scale" in said and "No L/R letters" in said
