"""The page says what the card of a shipped model says, and the stand-in card of these tests is a card that could be."""

from html import unescape
from typing import Any

from medinv.models.card import Calibration, Card, Exactness, OperatingPoint, Scope
from medinv.models.store import read_card
from medinv.report import strings
from medinv.report.content import study_content
from medinv.report.html import write_report


def test_the_stand_in_has_no_field_that_a_card_lacks(card: Any) -> None:
    assert set(type(card).model_fields) <= set(Card.model_fields)
    parts = {
        "calibration": Calibration,
        "scope": Scope,
        "exactness": Exactness,
        "operating_point": OperatingPoint,
    }
    for name, part in parts.items():
        assert set(getattr(card, name)) <= set(part.model_fields), name


def test_metrics_and_limits_of_the_shipped_card_are_in_the_page(
    tmp_path, make_row, make_arrays, explained
) -> None:
    shipped = read_card("chest-xray")
    row = make_row(model={"name": shipped.name, "sha256": shipped.weights_sha256})
    content = study_content(row, {"2.25.11": make_arrays(explained=explained)}, shipped)
    page = unescape(write_report(content, tmp_path / "report.html").read_text("utf-8"))
    assert shipped.metrics and shipped.limits and shipped.not_tested
    for name, measured in shipped.metrics.items():
        assert strings.METRIC_NAMES.get(name, strings.key_words(name)) in page
        assert (
            strings.interval(measured.value, None, None) in page
            and strings.bounds(measured.low, measured.high) in page
        )
    for words in (
        *shipped.limits,
        *shipped.not_tested,
        shipped.intended_use,
        shipped.training_data,
        shipped.weights_sha256,
    ):
        assert words in page
    point = shipped.operating_point
    assert strings.percent(point.threshold) in page
    assert (
        strings.interval(point.sensitivity.value, point.sensitivity.low, point.sensitivity.high)
        in page
    )
    assert not content.warnings
