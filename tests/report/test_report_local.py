"""Local evidence in every format: where it lies, what was checked, and nothing claimed where the check failed."""

import numpy as np
import pytest
from conftest import explanation, local

from medinv.report import strings
from medinv.report.content import study_content
from medinv.report.dicom.evidence import regions
from medinv.report.json import facts
from medinv.report.html import write_report
from medinv.report.pdf.document import pdf_bytes


@pytest.fixture
def content(make_row, make_arrays, card):
    def make(**values):
        return study_content(
            make_row(), {"2.25.11": make_arrays(explained=explanation(local=local(**values)))}, card
        )

    return make


def test_the_page_shows_where_the_evidence_lies_before_the_pixels(content, tmp_path) -> None:
    page = (
        write_report(content(), tmp_path / "report.html").read_text("utf-8").replace("\u00a0", " ")
    )
    first, proof = page.split(strings.PROOF_HEADING)
    assert (
        "Where the evidence lies" in first
        and "Evidence, region by region" not in page
        and "Evidence, pixel by pixel" in proof
    )
    assert (
        "The place that weighs most lies in the upper centre of the image as displayed, towards pneumonia"
        in first
    ), "not the pixel against the finding"
    for words in (
        "no finer",
        "what a move of the image by a pixel or two does",
        "against what is usual there in training images labelled normal",
        "to within 4.4",
        "+3.2000",
        "\u22120.2000",
    ):
        assert words in first
    assert (
        "takes 3.00 log-odds from that answer; the same shape at 2 other places takes at most 0.500."
        in first
    )


def test_no_place_is_named_where_another_does_as_well(content, tmp_path) -> None:
    page = (
        write_report(content(fall=0.4), tmp_path / "report.html")
        .read_text("utf-8")
        .replace("\u00a0", " ")
    )
    assert (
        "So no place is claimed." in page
        and "weighs most" not in page
        and "Where the evidence lies" in page
    )
    assert "adds 1.50 log-odds to that answer" in strings.local_check(
        local(fall=-1.5).check, "pneumonia", "normal"
    )


def test_the_facts_carry_sum_residual_depths_and_check(content) -> None:
    for fall, claimed in ((3.0, True), (0.4, False)):
        found = facts(content(fall=fall))["images"][0]["explanation"]["local_evidence"]
        assert (
            found["claimed"] is claimed
            and found["check"]["fall"]["value"] == fall
            and found["depths"]
            and found["pixels_a_side"] == 4
        )
        sums = [found[name]["value"] for name in ("constant", "towards", "against")]
        assert (
            sum(sums) == pytest.approx(found["logit"]["value"])
            and found["residual"]["value"] == 4.4e-15
        )
        assert found["jitter"]["value"] == 0.3 and found["usual"]["value"] + 0.3 == pytest.approx(
            found["constant"]["value"]
        )


def test_a_model_without_a_usual_state_says_so_by_none(
    make_row, make_arrays, explained, card
) -> None:
    found = facts(study_content(make_row(), {"2.25.11": make_arrays(explained=explained)}, card))
    assert found["images"][0]["explanation"]["local_evidence"] is None


def test_what_is_segmented_is_the_place_and_only_where_it_is_claimed(make_arrays) -> None:
    found = regions(make_arrays(explained=explanation(local=local())), 128, 128)
    expected = np.zeros((128, 128), bool)
    expected[32:48, 80:96] = True
    assert (found.mask == expected).all() and found.box == (80, 32, 96, 48)
    assert found.total == found.outlined == pytest.approx(3.2) and found.threshold == 0.025
    assert regions(make_arrays(explained=explanation(local=local(fall=0.4))), 128, 128) is None


def test_the_pdf_holds_either_verdict(content) -> None:
    assert pdf_bytes(content()) != pdf_bytes(content(fall=0.4))
