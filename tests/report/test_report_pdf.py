"""The PDF: the words of the page, on every sheet the disclaimer, its own fonts, equal bytes for equal contents."""

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from medinv.report import strings
from medinv.report.content import study_content
from medinv.report.pdf.document import pdf_bytes, write_pdf

needs_poppler = pytest.mark.skipif(
    shutil.which("pdftotext") is None,
    reason="no pdftotext on the path: install poppler-utils to read the PDF",
)
ATTACK = "<script>alert(1)</script> <b>&amp; <para>"


@pytest.fixture
def sheets(tmp_path, card) -> Callable[..., list[str]]:
    """The words of each sheet, each on one line."""

    def make(row, images=None) -> list[str]:
        path = write_pdf(study_content(row, images or {}, card), tmp_path / "report.pdf")
        read = subprocess.run(
            ["pdftotext", "-raw", str(path), "-"],
            capture_output=True,
            text=True,
            timeout=30,
            check=True,
        ).stdout
        return [re.sub(r"\s+", " ", sheet) for sheet in read.split("\f")[:-1]]

    return make


@needs_poppler
def test_the_first_sheet_is_readable_on_its_own(sheets, make_row, make_arrays, explained):
    first = sheets(make_row(), {"2.25.11": make_arrays(explained=explained)})[0]
    for words in (
        "Pneumonia",
        "97.3 %",
        "operating point 42.0 %",
        "Evidence, region by region",
        "10 mm",
        "What would have made the answer “normal”",
    ):
        assert words in first
    assert strings.fixed(explained.evidence.logit) in first and "every stored 8‑bit value" in first


@needs_poppler
def test_every_sheet_carries_the_disclaimer_and_its_number(
    sheets, make_row, make_arrays, explained
):
    instance = make_row()["instances"][0]
    found = sheets(
        make_row(instances=[instance, instance]), {"2.25.11": make_arrays(explained=explained)}
    )
    assert len(found) >= 3
    for number, sheet in enumerate(found, start=1):
        assert strings.RESEARCH_USE in sheet and f"{number} / {len(found)}" in sheet


@needs_poppler
def test_strings_from_outside_are_words_not_markup(sheets, make_row, make_arrays, explained):
    problem = {"sop_uid": ATTACK, "stage": ATTACK, "code": ATTACK, "message": ATTACK}
    row = make_row(study_uid=ATTACK, warnings=[ATTACK], skipped=[problem], broken=[problem])
    assert (
        " ".join(sheets(row, {"2.25.11": make_arrays(explained=explained, intake=ATTACK)})).count(
            ATTACK
        )
        >= 4
    )


@needs_poppler
def test_out_of_scope_and_failed_studies_say_why_and_no_class(
    sheets, out_of_scope_row, failed_row, make_arrays, explained
):
    outside = " ".join(sheets(out_of_scope_row, {"2.25.11": make_arrays(explained=explained)}))
    assert (
        strings.NO_LABEL in outside
        and "modality CT is not among CR, DX" in outside
        and "68.7" not in outside
        and "Evidence" not in outside
    )
    failed = " ".join(sheets(failed_row))
    assert strings.FAILED in failed and "got 4096" in failed


def test_equal_contents_give_equal_bytes_with_every_font_inside(
    make_row, make_arrays, explained, card
):
    content = study_content(make_row(), {"2.25.11": make_arrays(explained=explained)}, card)
    pdf = pdf_bytes(content)
    assert pdf == pdf_bytes(content)
    fonts = re.findall(rb"/BaseFont /(\S+)", pdf)
    assert (
        fonts
        and all(b"+DejaVu" in font for font in fonts)
        and pdf.count(b"/FontFile2") >= len(set(fonts))
    )
