"""What a run is given: every form written once, each picture made once, a renderer added."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from made import Page, edited, first

from medinv.errors import OutputError, ShapeError
from medinv.report import derived, figures, strings, write


def test_a_report_is_written_in_every_form(opacity, card_of, tmp_path):
    said = write.reports(opacity, card_of(opacity), tmp_path)
    folder = Path("reports") / opacity.study_uid / "phantom-opacity"
    assert said == {"report": (folder / "report.html").as_posix()}
    names = sorted(path.name for path in (tmp_path / folder).iterdir())
    assert names == ["report.html", "report.json", "report.pdf"]
    page = Page((tmp_path / said["report"]).read_text("utf-8"))
    assert [link["href"] for link in page.of("a")] == ["report.pdf", "report.json"]
    found = json.loads((tmp_path / folder / "report.json").read_text("utf-8"))
    assert found["study_uid"] == opacity.study_uid


def test_a_study_uid_names_no_folder(opacity, card_of, tmp_path):
    named = opacity.model_copy(update={"study_uid": "1.2.840.99"})
    said = write.reports(named, card_of(opacity), tmp_path)
    assert "1.2.840.99" not in said["report"] and said["report"].startswith("reports/study-")


def test_both_make_each_picture_once(opacity, card_of, tmp_path, monkeypatch):
    made = []
    draw = figures.panel
    monkeypatch.setattr(
        figures, "panel", lambda number, image, **more: made.append(number) or draw(number, image)
    )
    once = write.Reports()
    shown = opacity.model_copy(update=once.reports(opacity, card_of(opacity), tmp_path))
    said = once.dicom(shown, card_of(opacity), tmp_path)
    assert made == [1] and shown.report and len(said["dicom"]) >= 3
    for path in said["dicom"]:
        assert (tmp_path / path).is_file()


def test_the_index_page_links_the_reports(opacity, failed, tmp_path):
    listed = [opacity.model_copy(update={"report": "a/report.html"}), failed]
    page = Page(write.index_page(iter(listed), tmp_path / "index.html").read_text("utf-8"))
    assert [link["href"] for link in page.of("a")] == ["a/report.html"]


def test_a_folder_that_cannot_be_written_is_a_typed_error(opacity, card_of, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="output folder"):
        write.reports(opacity, card_of(opacity), tmp_path / "file")
    assert [item.name for item in tmp_path.iterdir()] == ["file"]


def test_a_renderer_is_one_function_that_is_named_in_the_table(
    opacity, outside, card_of, tmp_path, monkeypatch
):
    """As the docstring of medinv.report says."""

    def render(result, card, pictures) -> bytes:
        shown = derived.presented(result)
        label = shown.called or strings.FLAG_OUT_OF_SCOPE
        return f"{strings.RESEARCH_USE}. {shown.study_uid}: {label}".encode()

    monkeypatch.setitem(write.RENDERERS, "txt", render)
    for result, label in ((opacity, "opacity"), (outside, "out of scope")):
        said = write.reports(result, card_of(result), tmp_path)
        text = (tmp_path / said["report"]).with_suffix(".txt").read_text()
        assert text == f"Research use, not for diagnosis. {result.study_uid}: {label}"


def test_equal_results_give_equal_pdfs_with_every_font_inside(rendered, opacity):
    pdf = rendered(opacity, "pdf")
    later = opacity.model_copy(update={"seconds": 99.0})
    assert pdf == rendered(later, "pdf") and b"/FontFile2" in pdf and b"Helvetica" not in pdf


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        ({"display": [[[1.0]]]}, "uint8 image"),
        ({"aspect": 0.0}, "above 0"),
        ({"inputs": {}}, "explain this very input"),
    ],
)
def test_arrays_that_are_not_images_are_refused(opacity, wrong, expected):
    import numpy as np

    given = {key: np.array(value) if key == "display" else value for key, value in wrong.items()}
    frame = first(opacity).pixels
    broken = edited(opacity, pixels=type(frame)(**(vars(frame) | given)))
    with pytest.raises(ShapeError, match=expected):
        figures.pictures(broken)


def _pdfinfo(pdf: bytes, folder, *words: str) -> str:
    program = shutil.which("pdfinfo")
    if program is None:
        pytest.skip("pdfinfo (Debian: poppler-utils) is not installed")
    (folder / "report.pdf").write_bytes(pdf)
    line = [program, *words, str(folder / "report.pdf")]
    done = subprocess.run(line, capture_output=True, text=True, check=True)
    assert not done.stderr, done.stderr
    return done.stdout


def test_a_pdf_says_its_title_and_reads_in_order_with_words_for_its_pictures(
    rendered, opacity, tmp_path
):
    pdf = rendered(opacity, "pdf")
    told = _pdfinfo(pdf, tmp_path)
    assert re.search(r"^Tagged: +yes$", told, re.M) and re.search(r"^Title: +\S", told, re.M)
    assert b"/Lang (en" in pdf
    read = _pdfinfo(pdf, tmp_path, "-struct-text")
    kinds = re.findall(r"^ *(H1|H2|H3|P|Figure|Table)\b", read, re.M)
    assert kinds.count("H1") == 1 and kinds.index("H1") < kinds.index("H2") < kinds.index("Table")
    assert re.search(r"H1 .*\n.*Opacity", read) and read.rindex("Research use") > read.index("H2")
    figures = re.findall(r"Figure.*", read)
    assert len(figures) > 5 and pdf.count(b"/Alt ") == len(figures)
    assert all(row in read for row in ("TR", "TH", "TD"))
