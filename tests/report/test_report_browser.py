"""The pages in a real browser: nothing overflows from phone to wide screen, sliders and sorting work, both colour schemes are legible."""

import html
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from medinv.report.content import study_content
from medinv.report.entries import index_entry
from medinv.report.html import TEMPLATES, write_index, write_report

CHROMIUM = next((found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None)
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on the path: install chromium to test the pages in a browser")
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking --disable-component-update --disable-sync "
    "--allow-file-access-from-files --window-size=1920,1200 --virtual-time-budget=8000"
).split()

# Loads each page in a frame of each width, runs a probe in it and leaves what it found as JSON.
HARNESS = """<!doctype html><body><pre id="out"></pre><script>
const probe = (page, width) => {
  const seen = [...page.body.querySelectorAll("*")].filter((e) => !e.closest(".unseen, thead"));
  const wide = seen.filter((e) => e.getBoundingClientRect().right > width + 1);
  const found = {scroll: page.documentElement.scrollWidth, wide: wide.map((e) => e.tagName + "." + e.getAttribute("class"))};
  const change = (slider, value) => { slider.value = value; slider.dispatchEvent(new Event("input", {bubbles: true})); };
  const strength = page.querySelector("[data-opacity]"), step = page.querySelector("[data-step]"), sort = page.querySelectorAll("th button")[3];
  if (strength) {
    change(strength, 25);
    found.opacity = [...strength.closest("figure").querySelectorAll(".overlay")].map((e) => e.getAttribute("opacity"));
    change(step, 0);
    const frames = [...step.closest("figure").querySelectorAll(".frame")];
    found.frames = frames.map((e) => e.getAttribute("visibility"));
    found.name = step.closest("figure").querySelector("output").textContent;
    found.shown = !strength.closest("[hidden]");
  }
  if (sort) {
    const outcomes = () => [...page.querySelectorAll("tbody tr")].filter((r) => !r.hidden).map((r) => r.dataset.outcome);
    sort.click();
    found.sorted = outcomes();
    change(page.getElementById("outcome"), "failed");
    found.filtered = outcomes();
  }
  return found;
};
const results = {};
const run = async () => {
  for (const [name, width] of JOBS) {
    const frame = document.createElement("iframe");
    frame.style.width = width + "px"; frame.style.height = "900px"; frame.style.border = 0; frame.src = name;
    document.body.append(frame);
    await new Promise((done) => frame.onload = done);
    results[name + " " + width] = probe(frame.contentDocument, width);
    frame.remove();
  }
  document.getElementById("out").textContent = JSON.stringify(results);
};
run();
</script>"""


@pytest.fixture
def pages(tmp_path, make_row, out_of_scope_row, failed_row, make_arrays, explained, card) -> Path:
    long = "2.25." + "1234567890" * 6
    instance = make_row()["instances"][0]
    broken = [{"sop_uid": long, "stage": "pixels", "code": "pixel-data", "message": "x" * 200}]
    many = make_row(study_uid=long, instances=[instance, instance | {"sop_uid": long}], broken=broken, warnings=["w" * 150])
    drawn = {"2.25.11": make_arrays(explained=explained), long: make_arrays(shape=(60, 200), explained=explained)}
    for name, row in (("one", make_row()), ("many", many), ("outside", out_of_scope_row), ("failed", failed_row)):
        write_report(study_content(row, drawn, card), tmp_path / f"{name}.html")
    write_index([index_entry(row, "one.html") for row in (make_row(), many, out_of_scope_row, failed_row)], tmp_path / "index.html")
    return tmp_path


@pytest.fixture
def measured(pages) -> dict[str, dict]:
    names = ("one", "many", "outside", "failed", "index")
    jobs = [(f"{name}.html", width) for name in names for width in (320, 375, 768, 1280, 1920)]
    (pages / "harness.html").write_text(HARNESS.replace("JOBS", json.dumps(jobs)), "utf-8")
    command = [CHROMIUM, *FLAGS, f"--user-data-dir={pages / 'profile'}", "--dump-dom", (pages / "harness.html").as_uri()]
    dumped = subprocess.run(command, capture_output=True, text=True, timeout=100, check=True).stdout
    found = json.loads(html.unescape(re.search(r'<pre id="out">(.*?)</pre>', dumped, re.S)[1]))
    assert len(found) == len(jobs)
    return found


@needs_chromium
def test_pages_fit_every_width_and_answer_to_their_controls(measured):
    for name, found in measured.items():
        assert found["scroll"] <= int(name.split()[1]), name
        assert found["wide"] == [], name
    one = measured["one.html 375"]
    assert one["shown"] and one["opacity"] == ["0.25", "0.25"]
    assert one["frames"] == ["visible", "hidden", "hidden"] and one["name"] == "Network input"
    index = measured["index.html 1280"]
    assert index["sorted"] == ["out of scope", "failed", "pneumonia", "pneumonia"] and index["filtered"] == ["failed"]


@needs_chromium
def test_paper_carries_the_disclaimer_on_every_page(pages):
    if not shutil.which("pdftotext"):
        pytest.skip("no pdftotext on the path: install poppler-utils to read the printed page")
    printed = pages / "many.pdf"
    command = [CHROMIUM, *FLAGS, f"--user-data-dir={pages / 'profile'}", "--no-pdf-header-footer", f"--print-to-pdf={printed}"]
    subprocess.run([*command, (pages / "many.html").as_uri()], capture_output=True, timeout=100, check=True)
    sheets = subprocess.run(["pdftotext", str(printed), "-"], capture_output=True, text=True, timeout=30, check=True).stdout.split("\f")[:-1]
    assert len(sheets) >= 2
    for sheet in sheets:
        assert "Research use, not for diagnosis" in sheet


def contrast(first: str, second: str) -> float:
    """WCAG 2 contrast of two #rrggbb colours."""

    def luminance(colour: str) -> float:
        shares = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [share / 12.92 if share <= 0.03928 else ((share + 0.055) / 1.055) ** 2.4 for share in shares]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    light, dark = sorted((luminance(first), luminance(second)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_text_has_the_contrast_of_wcag_aa(scheme):
    blocks = re.findall(r":root \{(.*?)\}", (TEMPLATES / "report.css").read_text("utf-8"), re.S)
    colours = dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6})", blocks[scheme]))
    pairs = [(ink, "page") for ink in ("ink", "quiet", "accent", "good-ink", "bad-ink")]
    pairs += [("ink", "warn"), ("ink", "bad"), ("quiet", "bad"), ("ink", "panel"), ("quiet", "panel")]
    for ink, paper in pairs:
        assert contrast(colours[ink], colours[paper]) >= 4.5, (ink, paper)
