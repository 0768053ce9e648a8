"""The page: self-contained, escaped, and usable by those who do not see it."""

import re
from html import unescape
from itertools import pairwise

import numpy as np
import pytest
from made import Page, edited, evidence_of, first

from medinv.report import strings
from medinv.report.html import flags, render_index

ATTACK = '"><script>alert(1)</script><img src=x onerror=alert(2)>'


@pytest.fixture(scope="module")
def page(rendered, opacity) -> str:
    return rendered(opacity).decode("utf-8")


def test_the_answer_is_the_headline_and_the_title(page):
    assert "<h1>Opacity</h1>" in page and "<title>medinv report: Opacity</title>" in page


def test_the_page_asks_nothing_of_the_network(page):
    for attributes in Page(page).of("img", "image", "use", "link", "script", "iframe", "a", "form"):
        for name in ("src", "href", "action", "data"):
            local = ("data:image/png;base64,", "#", "report.")
            assert attributes.get(name, "#").startswith(local)
    assert not re.search(r"https?:|url\(|@import|fetch\(|XMLHttpRequest|WebSocket", page)
    (policy,) = [
        meta["content"]
        for meta in Page(page).of("meta")
        if meta.get("http-equiv") == "Content-Security-Policy"
    ]
    assert policy.startswith("default-src 'none'; img-src data:;") and "unsafe" not in policy


def test_no_inline_style_or_handler_that_the_policy_would_block(page):
    for _, attributes in Page(page).elements:
        assert "style" not in attributes
        assert not any(name.startswith("on") for name in attributes)


def test_strings_from_outside_are_escaped(rendered, pair, skipped, failed, opacity):
    problems = {
        "skipped": (skipped.skipped[0].model_copy(update={"sop_uid": ATTACK, "message": ATTACK}),),
        "broken": (failed.broken[0].model_copy(update={"sop_uid": ATTACK, "code": ATTACK}),),
        "study_uid": ATTACK + "</style>",
        "warnings": (ATTACK,),
    }
    attacked = edited(pair.model_copy(update=problems), 2, sop_uid=ATTACK, warnings=(ATTACK,))
    source = rendered(attacked).decode("utf-8")
    page = Page(source)
    assert len(page.of("script")) == 1 and len(page.of("style")) == 1
    assert not [image for image in page.of("img") if "onerror" in image]
    assert source.count("<script>") == 1 and source.count("</style>") == 1
    assert unescape(source).count(ATTACK) >= 6


def test_paths_stay_out(page, opacity):
    assert first(opacity).path not in page and ".dcm" not in page


def test_every_picture_has_words_and_every_slider_a_label(page, opacity):
    found, values = Page(page), evidence_of(first(opacity))
    for drawing in found.of("svg"):
        assert drawing.get("aria-hidden") == "true" or len(drawing.get("aria-label", "")) > 6
    (said,) = (one["aria-label"] for one in found.of("svg")
               if one.get("aria-label", "").startswith("Local evidence map"))  # fmt: skip
    assert f"sum to {strings.fixed(values[values > 0].sum())} log-odds" in said
    assert f"those below to {strings.fixed(values[values < 0].sum())}" in said
    difference = first(opacity).explanation.counterfactual.difference
    low, high = strings.signed(difference.min()), strings.signed(difference.max())
    assert any(f"from {low} to {high} grey" in one.get("aria-label", "") for one in found.of("svg"))
    labels = {label["for"] for label in found.of("label")}
    sliders = found.of("input")
    assert len(sliders) == 2 and all(
        slider["id"] in labels and slider["type"] == "range" for slider in sliders
    )


def test_the_bar_is_as_long_as_the_probability(rendered, clear, card_of):
    bars = Page(rendered(clear).decode("utf-8"))
    (fill,) = (one for one in bars.of("rect") if one.get("class") == "fill")
    assert fill["width"] == f"{100 * clear.probabilities['opacity']:.2f}%"
    (point,) = (one for one in bars.of("line") if one.get("class") == "point")
    assert point["x1"] == f"{100 * card_of(clear).operating_point.threshold:.2f}%"


def test_evidence_is_drawn_by_place_and_the_pixels_go_with_the_proof(page):
    seen, proof = page.split(f"<h2>{strings.PROOF_HEADING}</h2>")
    assert "Where the evidence lies" in seen and "Evidence, pixel by pixel" not in seen
    assert "Evidence, pixel by pixel" in proof
    assert " data-opacity " in seen and " data-opacity " not in proof


def test_without_local_evidence_the_regions_are_drawn(rendered, opacity):
    by_region = edited(opacity, explanation={"local_evidence": None})
    seen, proof = rendered(by_region).decode("utf-8").split(f"<h2>{strings.PROOF_HEADING}</h2>")
    assert "Evidence, region by region" in seen and "Evidence, pixel by pixel" in proof
    pixels = first(opacity).explanation.evidence.contributions
    sums = pixels.reshape(8, len(pixels) // 8, 8, -1).sum((1, 3)) if len(pixels) == 64 else None
    said = Page(seen).text
    if sums is not None:
        assert f"±{strings.number(np.abs(sums).max())} log-odds per region" in said
        row, _ = np.unravel_index(np.abs(sums).argmax(), sums.shape)
        band = ("upper", "middle", "lower")[3 * row // 8 if row != 2 else 0]
        assert f"lies in the {band}" in said
    assert "no place carries it" not in said and "the constant, which no pixel carries" in said


def test_disclaimer_is_on_screen_and_in_the_margin_of_each_printed_page(page):
    assert Page(page).text.count(strings.RESEARCH_USE) >= 2
    assert '@page{@top-left{content:"Research use, not for diagnosis"}' in page


def test_headings_do_not_skip_a_level(page):
    levels = [int(tag[1]) for tag, _ in Page(page).elements if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))


def test_a_full_page_stays_small(rendered, opacity):
    frame = first(opacity).pixels
    noise = np.random.default_rng(0).integers(0, 256, (2600, 2100), dtype=np.uint8)
    large = type(frame)(**(vars(frame) | {"display": noise}))
    assert len(rendered(edited(opacity, pixels=large))) < 1_500_000


def test_thumbnails_stand_beside_the_images_they_are_of(rendered, pair, drawn_pair):
    source = rendered(pair).decode("utf-8")
    found = [one for one in Page(source).of("img") if one.get("class") == "thumbnail"]
    assert [one["alt"] for one in found] == ["Image 1", "Image 2"]
    assert [one["src"] for one in found] == [drawn_pair.thumbnails[n].uri for n in (1, 2)]
    assert found[0]["src"] != found[1]["src"]


def test_index_lists_every_result_with_its_outcome_and_link(classified, outside, opacity, failed):
    attacked = failed.model_copy(update={"study_uid": ATTACK})
    results = [opacity.model_copy(update={"report": "a/report.html"}), outside, attacked]
    source = render_index(results).decode("utf-8")
    page = Page(source)
    rows = [row["data-outcome"] for row in page.of("tr") if row]
    assert rows == ["opacity", "out of scope", "failed"]
    assert [link["href"] for link in page.of("a")] == ["a/report.html"]
    assert "3 results: 1 opacity, 1 out of scope, 1 failed." in page.text
    assert "over 99.9 % opacity" in page.text and "17.4" not in page.text
    assert failed.error.message in page.text
    assert len(page.of("script")) == 1 and strings.RESEARCH_USE in page.text
    assert strings.counted(2, ("result", "results")) == "2 results"


def test_the_index_says_what_to_beware_of(pair, failed, outside):
    scope = pair.instances[0].scope.model_copy(update={"in_scope": False})
    trip = pair.reconstruction.model_copy(update={"exact": False})
    wary = edited(pair, 1, scope=scope).model_copy(
        update={
            "reconstruction": trip,
            "broken": failed.broken * 2,
            "skipped": failed.broken,
            "warnings": ("w",),
        }
    )
    assert flags(wary) == (
        "1 image out of scope",
        "reconstruction not exact",
        "2 files could not be read",
        "1 file skipped",
        "1 warning",
    )
    assert flags(pair) == () and flags(outside) == () and outside.outcome == "out of scope"
    assert flags(failed)[-1] == f"{failed.error.code}: {failed.error.message}"


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (0.0002, "under 0.1 %"),
        (0.0, "0.0 %"),
        (0.99996, "over 99.9 %"),
        (1.0, "100.0 %"),
        (0.4204, "42.0 %"),
    ],
)
def test_percent_is_never_rounded_to_certainty(value, words):
    assert strings.percent(value).replace("\u00a0", " ") == words


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (0, "0"),
        (-2.084, "−2.08"),
        (3.14e-13, "3.1 × 10⁻¹³"),
        (-0.01234, "−0.0123"),
        (41.0, "41.0"),
        (9.999, "10.0"),
    ],
)
def test_numbers_carry_a_true_minus_and_powers_of_ten(value, words):
    assert strings.number(value).replace("\u00a0", " ") == words


@pytest.mark.parametrize(
    ("towards", "against", "words"),
    [(685.3, -680.1, "largely cancel: +685 and −680 leave +5.2"), (3.0, -1.0, "leaves +2.00")],
)
def test_pixels_are_said_to_cancel_only_where_they_do(towards, against, words):
    said = strings.cancellation(towards, against)
    assert words in said and ("cancel" in said) == ("cancel" in words)


def test_an_interval_whose_ends_are_written_alike_is_said_so():
    assert strings.uncertain(0.9996, 0.9999).endswith("wholly over 99.9\u00a0%")
    assert strings.uncertain(0.1, 0.2).endswith("10.0\u00a0% to 20.0\u00a0%")
