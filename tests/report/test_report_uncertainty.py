"""How sure a probability is: only what the card measured, and in words what it means."""

import math

import pytest

from medinv.report.content import study_content
from medinv.report.html import write_report
from medinv.report.uncertainty import uncertainty

SHARE = {"value": 0.9, "low": 0.7, "high": 0.98, "n": 20}
ODDS = [float(k) for k in range(-5, 6)]
KEPT = {
    "interval": {
        "log_odds": ODDS,
        "low": [k - 1 for k in ODDS],
        "high": [k + 2 for k in ODDS],
        "images": 487,
        "patients": 284,
    },
    "observed": [{"low": 0.95, "high": 1.0, "patients": 18, "share": SHARE}],
}


def odds(p: float) -> float:
    return math.log(p / (1 - p))


@pytest.mark.parametrize("probability", [0.3, 0.973, 0.9999, 1.0])
def test_bounds_are_interpolated_in_log_odds_and_hold_the_probability(probability):
    found = uncertainty(KEPT, probability)
    assert found.low <= probability <= found.high
    if probability < 0.999:
        assert odds(found.low) == pytest.approx(odds(probability) - 1) and odds(
            found.high
        ) == pytest.approx(odds(probability) + 2)


def test_observed_share_is_that_of_images_alike_or_none():
    assert (
        uncertainty(KEPT, 0.96).observed.share.n == 20
        and uncertainty(KEPT, 1.0).observed.patients == 18
    )
    assert uncertainty(KEPT, 0.5).observed is None


def test_a_share_that_contradicts_the_probability_is_said(make_row, make_arrays, card, tmp_path):
    contradicting = [
        {
            "low": 0.95,
            "high": 1.0,
            "patients": 18,
            "share": SHARE | {"value": 0.2, "low": 0.1, "high": 0.4},
        }
    ]
    for shares, said in ((KEPT["observed"], False), (contradicting, True)):
        told = card.model_copy(
            update={"calibration": card.calibration | KEPT | {"observed": shares}}
        )
        page = write_report(
            study_content(make_row(), {"2.25.11": make_arrays()}, told), tmp_path / "report.html"
        ).read_text("utf-8")
        assert (
            ("read it with caution" in page) is said
            and "95\u00a0% interval" in page
            and "284 patients" in page
        )


def test_a_card_without_an_interval_says_so(make_row, card, tmp_path):
    page = write_report(study_content(make_row(), {}, card), tmp_path / "report.html").read_text(
        "utf-8"
    )
    assert "The model card gives no interval for this probability." in page


def test_several_deciding_images_have_no_interval(make_row, card):
    told = card.model_copy(update={"calibration": card.calibration | KEPT})
    instance = make_row()["instances"][0]
    instances = [
        instance | {"sop_uid": f"2.25.{n}", "probabilities": {"normal": 1 - p, "pneumonia": p}}
        for n, p in enumerate((0.96, 0.98))
    ]
    mean = study_content(
        make_row(instances=instances, probabilities={"normal": 0.03, "pneumonia": 0.97}), {}, told
    )
    highest = study_content(
        make_row(instances=instances, probabilities={"normal": 0.02, "pneumonia": 0.98}), {}, told
    )
    assert (
        mean.uncertainty is None
        and mean.several
        and highest.uncertainty is not None
        and not highest.several
    )
