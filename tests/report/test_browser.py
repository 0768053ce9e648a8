"""The pages in a real browser: nothing overflows from phone to wide screen,
mouse and keyboard work the controls, both colour schemes are legible.
"""

import io
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from chromium import CHROMIUM, Browser
from made import edited
from PIL import Image

from medinv.report import strings
from medinv.report.figures import pictures
from medinv.report.templating import TEMPLATES
from medinv.report.write import index_page

needs_chromium = pytest.mark.skipif(
    CHROMIUM is None,
    reason="no Chromium on the path: install chromium to test the pages in a browser",
)
WIDE = """(() => { const width = document.documentElement.clientWidth;
  return [...document.body.querySelectorAll("*")]
    .filter((e) => !e.closest(".unseen, thead") && e.getBoundingClientRect().right > width + 1)
    .map((e) => e.tagName + "." + e.getAttribute("class")); })()"""
OPACITIES = """[
  ...document.querySelector("[data-opacity]").closest("figure").querySelectorAll(".overlay"),
].map((e) => e.getAttribute("opacity"))"""
FRAMES = """[
  ...document.querySelector("[data-step]").closest("figure").querySelectorAll(".frame"),
].map((e) => e.getAttribute("visibility") || "visible")"""
UNFOLD = "for (const one of document.querySelectorAll('details')) one.open = true"
OUTCOMES = """[...document.querySelectorAll("tbody tr")]
  .filter((r) => !r.hidden).map((r) => r.dataset.outcome)"""
PAPER = {"A4": (8.27, 11.69), "Letter": (8.5, 11.0)}


@pytest.fixture(scope="module")
def browser(tmp_path_factory) -> Iterator[Browser]:
    with Browser(tmp_path_factory.mktemp("profile")) as found:
        yield found


@pytest.fixture(scope="module")
def pages(opacity, pair, outside, failed, rendered, tmp_path_factory) -> Path:
    folder, long = tmp_path_factory.mktemp("pages"), "2.25." + "1234567890" * 6
    broken = failed.broken[0].model_copy(update={"sop_uid": long, "message": "x" * 200})
    wide = edited(pair, 2, sop_uid=long, series_uid=long)
    series = tuple(one.model_copy(update={"series_uid": long}) for one in pair.series)
    changed = {"study_uid": long, "broken": (broken,), "warnings": ("w" * 150,), "series": series}
    many = wide.model_copy(update=changed)
    results = {"one": opacity, "many": many, "outside": outside, "failed": failed}
    for name, result in results.items():
        (folder / f"{name}.html").write_bytes(rendered(result))
    index_page(
        (result.model_copy(update={"report": "one.html"}) for result in results.values()),
        folder / "index.html",
    )
    return folder


@needs_chromium
@pytest.mark.parametrize("name", ["one", "many", "outside", "failed", "index"])
def test_nothing_overflows_and_nothing_is_fetched(browser, pages, name):
    browser.requests.clear()
    for width in (320, 375, 768, 1280, 1920):
        browser.open(pages / f"{name}.html", width)
        assert browser.run("document.documentElement.scrollWidth") <= width, width
        assert browser.run(WIDE) == [], width
    assert all(url.startswith(("file:", "data:")) for url in browser.requests) and browser.requests


@needs_chromium
def test_sliders_answer_to_mouse_and_keyboard(browser, pages, opacity):
    browser.open(pages / "one.html", 1280)
    browser.click("[data-opacity]", 0.02)
    assert browser.run(OPACITIES) == ["0"]
    browser.press("End")
    assert browser.run(OPACITIES) == ["1"]
    browser.press("ArrowLeft")
    assert (
        browser.run(OPACITIES) == ["0.95"]
        and browser.run("document.activeElement.getAttribute('aria-valuetext')") == "95 %"
    )
    browser.run(UNFOLD)
    last = len(pictures(opacity).panels[0].explained.frames) - 1
    browser.click("[data-step]", 0.01)
    assert browser.run(FRAMES) == ["visible"] + ["hidden"] * last
    browser.press("ArrowRight")
    assert browser.run(FRAMES) == ["hidden", "visible"] + ["hidden"] * (last - 1)
    said = browser.run("document.activeElement.getAttribute('aria-valuetext')")
    assert said == f"Step 1 of {last}"


@needs_chromium
def test_the_keyboard_alone_reaches_the_sliders_in_the_order_of_the_page(browser, pages):
    browser.open(pages / "one.html", 1280)
    reached = []
    named = "[document.activeElement.tagName, document.activeElement.id"
    for _ in range(12):
        browser.press("Tab")
        reached.append(browser.run(f"{named}, document.activeElement.getAttribute('href')]"))
    names = [id_ or href for tag, id_, href in reached if tag in ("INPUT", "A")]
    assert names[:3] == ["strength-1", "report.pdf", "report.json"]
    assert "SUMMARY" in [tag for tag, *_ in reached], "folded parts open by the keyboard too"
    browser.open(pages / "one.html", 1280)
    browser.run(UNFOLD)
    ids = [browser.press("Tab") or browser.run("document.activeElement.id") for _ in range(8)]
    assert "step-1" in ids


@needs_chromium
def test_the_index_sorts_and_filters(browser, pages):
    browser.open(pages / "index.html", 1280)
    browser.click("th:nth-child(4) button")
    assert browser.run(OUTCOMES) == ["out of scope", "failed", "opacity", "opacity"]
    browser.run(
        """(() => { const s = document.getElementById("outcome"); s.value = "failed";
        s.dispatchEvent(new Event("input", {bubbles: true})); })()"""
    )
    assert browser.run(OUTCOMES) == ["failed"]


@needs_chromium
def test_both_colour_schemes_draw_the_page_but_the_image_stays(browser, pages):
    drawn = []
    for dark in (False, True):
        browser.open(pages / "one.html", 1280, dark=dark)
        drawn.append(
            np.asarray(Image.open(io.BytesIO(browser.screenshot())).convert("L"), dtype=float)
        )
    light, dark = drawn
    assert np.median(light) > 200 and np.median(dark) < 60
    box = browser.run(
        """(() => { const b = document.querySelector(".picture").getBoundingClientRect();
        return [b.left, b.top, b.right, b.bottom]; })()"""
    )
    left, top, right, bottom = (round(value) for value in box)
    assert np.abs(light - dark)[top + 3 : bottom - 3, left + 3 : right - 3].max() < 2


@needs_chromium
@pytest.mark.parametrize("paper", PAPER)
def test_paper_carries_the_disclaimer_on_every_page(browser, pages, paper):
    if not shutil.which("pdftotext"):
        pytest.skip("no pdftotext on the path: install poppler-utils to read the printed page")
    browser.open(pages / "many.html", 1280)
    (pages / "many.pdf").write_bytes(browser.print(*PAPER[paper]))
    read = subprocess.run(
        ["pdftotext", str(pages / "many.pdf"), "-"],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    ).stdout
    sheets = read.split("\f")[:-1]
    assert len(sheets) >= 2
    for sheet in sheets:
        assert strings.RESEARCH_USE in sheet
    assert "Opacity" in sheets[0]


def contrast(first: str, second: str) -> float:
    """WCAG 2 contrast of two #rrggbb colours."""

    def luminance(colour: str) -> float:
        shares = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [
            share / 12.92 if share <= 0.03928 else ((share + 0.055) / 1.055) ** 2.4
            for share in shares
        ]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    light, dark = sorted((luminance(first), luminance(second)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_text_has_the_contrast_of_wcag_aa(scheme):
    blocks = re.findall(r":root \{(.*?)\}", (TEMPLATES / "report.css").read_text("utf-8"), re.S)
    colours = dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6})", blocks[scheme]))
    pairs = [(ink, "page") for ink in ("ink", "quiet", "accent", "good-ink", "bad-ink")]
    pairs += [
        ("ink", "warn"),
        ("ink", "bad"),
        ("quiet", "bad"),
        ("ink", "panel"),
        ("quiet", "panel"),
    ]
    for ink, paper in pairs:
        assert contrast(colours[ink], colours[paper]) >= 4.5, (ink, paper)
