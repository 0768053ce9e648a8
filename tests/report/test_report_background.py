"""Decoded depths, similar cases and controls appear where they are given; where not, the page says so and claims nothing."""

import re
from html import unescape

import pytest

from medinv.report import strings
from medinv.report.content import study_content
from medinv.report.html import write_report


@pytest.fixture
def words(tmp_path, make_row, make_arrays, explained, card):
    def make(background) -> str:
        arrays = {"2.25.11": make_arrays(explained=explained, background=background)}
        page = write_report(
            study_content(make_row(), arrays, card), tmp_path / "report.html"
        ).read_text("utf-8")
        return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", page))).replace("\u00a0", " ")

    return make


def test_what_is_given_is_said_with_its_numbers(words, make_background):
    page = words(make_background())
    for said in (
        "Decoding from each of 3 depths of the network gives every stored value of the input",
        "largest condition number at this image is level 1, layer 2: ActNorm: 26.7",
        "What decides: 1,024 of 4,096 numbers, 25.0 % of the features' squared length",
        "The 2 training cases nearest by what decides are labelled: 1 pneumonia, 1 normal. Drawn by chance, 74.0 % would be pneumonia.",
        "the best decoding tried recovers 11.0 % of the pixels' variance",
        "Of 2 other changes of the same size, these make the answer normal too: blur.",
    ):
        assert said in page
    for missing in (strings.TRACE_NONE, strings.NEAREST_NONE, strings.CONTROLS_NONE):
        assert missing not in page


def test_what_is_not_given_is_said_to_be_missing(words, make_background):
    page = words(type(make_background())())
    for missing in (strings.TRACE_NONE, strings.NEAREST_NONE, strings.CONTROLS_NONE):
        assert missing in page
    assert "nearest by what decides" not in page and "condition number at this image" not in page


def test_a_far_case_is_not_called_similar(words, make_background):
    page = words(make_background(distance=2.5))
    assert (
        "no training case is near enough to be called similar" in page
        and "Row of the training set" not in page
        and "nearest by what decides" not in page
    )


def test_the_decision_is_told_step_by_step(words, make_background, explained):
    page = words(make_background())
    told = page.split(strings.HOW_HEADING)[1].split(strings.AT_A_GLANCE)[0]
    order = [
        strings.fixed(explained.evidence.bias),
        strings.fixed(explained.evidence.logit),
        "97.3 %",
        "pneumonia the label, since at or above the operating point",
    ]
    assert [told.index(part) for part in order] == sorted(told.index(part) for part in order)
