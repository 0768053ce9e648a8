"""The HTML page: self-contained, escaped, and saying what the content says, no more."""

import re
from dataclasses import replace
from html import unescape
from html.parser import HTMLParser

import pytest

from medinv.errors import OutputError
from medinv.explanation.evidence import regional
from medinv.report import strings
from medinv.report.content import study_content
from medinv.report.entries import index_entry
from medinv.report.html import write_index, write_report

ATTACK = '"><script>alert(1)</script><img src=x onerror=alert(2)>'


class Page(HTMLParser):
    """Elements and visible text of a page."""

    def __init__(self, source: str):
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.text = ""
        self.feed(source)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_data(self, data):
        self.text += data.replace("\u00a0", " ")

    def of(self, *tags):
        return [attributes for tag, attributes in self.elements if tag in tags]


@pytest.fixture
def render(tmp_path, card):
    def make(row, images=None):
        return write_report(
            study_content(row, images or {}, card), tmp_path / "report.html"
        ).read_text("utf-8")

    return make


@pytest.fixture
def page(render, make_row, make_arrays, explained):
    return render(make_row(), {"2.25.11": make_arrays(explained=explained)})


def test_the_first_screen_says_label_probability_and_operating_point(page):
    text = Page(page).text
    assert re.search(r"<h1>Pneumonia</h1>", page)
    for words in ("97.3 %", "operating point 42.0 %", "0.991 (0.984 to 0.996)"):
        assert words in text


def test_numbers_in_the_page_are_the_contents(page, explained):
    text = Page(page).text
    evidence, counterfactual = explained.evidence, explained.counterfactual
    values = evidence.contributions
    for number in (
        values[values > 0].sum(),
        values[values < 0].sum(),
        evidence.bias,
        evidence.logit,
    ):
        assert strings.fixed(number) in text
    for words in (
        "3.2 × 10⁻¹⁴",
        "3.1 × 10⁻¹²",
        "4,096",
        "float64",
        "7.93 grey levels RMS",
        "1.3 %",
        "log-odds −2.08",
    ):
        assert words in text
    for words in ("9f" * 32, "1,234,567", "2.718"):
        assert words in text
    assert f"{explained.counterfactual.difference.max():+.1f}" in page
    assert counterfactual.target in text


def test_evidence_is_drawn_by_region_and_the_pixels_go_with_the_proof(page, explained):
    first, proof = page.split(strings.PROOF_HEADING)
    assert "Evidence, region by region" in first and "Evidence, pixel by pixel" not in first
    assert (
        "Evidence, pixel by pixel" in proof
        and " data-opacity " in first
        and " data-opacity " not in proof
    )
    regions, pixels = regional(explained.evidence.contributions), explained.evidence.contributions
    for place, values in ((first, regions), (proof, pixels)):
        for total in (values[values > 0].sum(), values[values < 0].sum()):
            assert strings.fixed(total) in place
    assert f"±{strings.number(abs(regions).max())} log-odds per region" in Page(page).text
    assert "calibrated log-odds of pneumonia" in proof and "before calibration" not in page


def test_an_input_that_does_not_divide_into_regions_shows_its_pixels_once(
    render, make_row, make_arrays, make_explanation
):
    arrays = make_arrays()
    odd = type(arrays)(
        **(
            vars(arrays)
            | {"network_input": arrays.network_input[:60, :60], "explanation": make_explanation(60)}
        )
    )
    page = render(make_row(), {"2.25.11": odd})
    assert page.count("Evidence, pixel by pixel") == 1 and "region" not in Page(page).text
    assert " data-opacity " in page.split("Evidence, pixel by pixel")[1]


@pytest.mark.parametrize(
    ("towards", "against", "words"),
    [(685.3, -680.1, "largely cancel: +685 and −680 leave +5.2"), (3.0, -1.0, "leaves +2.00")],
)
def test_pixels_are_said_to_cancel_only_where_they_do(towards, against, words):
    said = strings.cancellation(towards, against)
    assert words in said and ("cancel" in said) == ("cancel" in words)


def test_the_models_card_is_told_in_words(page):
    text = Page(page).text
    for words in (
        "temperature inverse: 0.5452; prior: 0.2700, 0.7300; brier: 0.991 (0.984 to 0.996)",
        "modalities: CR, DX; statistic: Mahalanobis distance; threshold: 12.70; flagged foreign: hand: 0.991 (0.984 to 0.996)",
        "share float64: 1.000; max abs error float64: 4.2 × 10⁻¹¹",
        "Squashed to 64 × 64 by area averaging.",
        "train: 3730; test: 464",
    ):
        assert words in text


def test_the_page_asks_nothing_of_the_network(page):
    for attributes in Page(page).of(
        "img", "image", "use", "link", "script", "iframe", "a", "object", "form"
    ):
        for name in ("src", "href", "action", "data"):
            assert attributes.get(name, "#").startswith(("data:image/png;base64,", "#"))
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


def test_strings_from_outside_are_escaped(render, make_row, make_arrays, explained, card):
    problem = {"sop_uid": ATTACK, "stage": ATTACK, "code": ATTACK, "message": ATTACK}
    instance = make_row()["instances"][0] | {"sop_uid": ATTACK}
    row = make_row(
        study_uid=ATTACK + "</style>",
        warnings=[ATTACK],
        skipped=[problem],
        broken=[problem],
        instances=[instance, instance],
    )
    source = render(row, {ATTACK: make_arrays(explained=explained, intake=ATTACK)})
    page = Page(source)
    assert len(page.of("script")) == 1 and len(page.of("style")) == 1
    assert not [image for image in page.of("img") if "onerror" in image]
    assert source.count("<script>") == 1 and source.count("</style>") == 1
    assert ATTACK in unescape(source)


def test_paths_stay_out(page):
    assert "Doe" not in page and ".dcm" not in page


def test_out_of_scope_page_shows_no_class_and_no_counterfactual(
    render, out_of_scope_row, make_arrays, explained
):
    text = Page(render(out_of_scope_row, {"2.25.11": make_arrays(explained=explained)})).text
    assert (
        "Out of scope" in text
        and "modality CT is not among CR, DX" in text
        and strings.NO_LABEL in text
    )
    for absent in (
        "68.7",
        "31.3",
        "What would have made",
        "Evidence, ",
        "The model calls",
        "Reconstruction certificate",
    ):
        assert absent not in text


def test_a_failed_study_says_why(render, failed_row):
    page = Page(render(failed_row))
    assert strings.FAILED in page.text and "got 4096" in page.text
    assert not page.of("image")


def test_a_skipped_study_says_why(render, make_row):
    skipped = [{"sop_uid": "2.25.9", "code": "no-pixels", "message": "structured report"}]
    text = Page(
        render(
            make_row(
                status="skipped",
                label=None,
                probabilities=None,
                instances=[],
                reconstruction=None,
                skipped=skipped,
            )
        )
    ).text
    assert strings.SKIPPED in text and "no-pixels: structured report" in text


def test_failed_checks_are_not_dressed_up(render, make_row, make_arrays, explained):
    bad = replace(
        explained,
        reconstruction=replace(explained.reconstruction, exact=False, max_abs_error=0.8),
        counterfactual=replace(explained.counterfactual, flipped=False),
    )
    text = Page(render(make_row(), {"2.25.11": make_arrays(explained=bad)})).text
    assert "Not exact" in text and "No counterfactual" in text and "On the way" not in text
    assert "What would have made" not in text and "Exact:" not in text


def test_an_edit_that_left_the_kind_is_not_shown_though_it_flips(
    render, make_row, make_arrays, explained
):
    strange = replace(explained, counterfactual=replace(explained.counterfactual, in_scope=False))
    html = render(make_row(), {"2.25.11": make_arrays(explained=strange)})
    assert (
        "No counterfactual" in html
        and "likelihood is out of scope" in html
        and 'data-step="' not in html
    )


def test_every_picture_has_words_and_every_slider_a_label(page):
    found = Page(page)
    for drawing in found.of("svg"):
        assert drawing.get("aria-hidden") == "true" or len(drawing.get("aria-label", "")) > 6
    assert any("log-odds" in drawing.get("aria-label", "") for drawing in found.of("svg"))
    labels = {label["for"] for label in found.of("label")}
    sliders = found.of("input")
    assert len(sliders) == 2 and all(
        slider["id"] in labels and slider["type"] == "range" for slider in sliders
    )


def test_disclaimer_is_on_screen_and_in_the_margin_of_each_printed_page(page):
    assert Page(page).text.count(strings.RESEARCH_USE) >= 2
    assert '@page{@top-left{content:"Research use, not for diagnosis"}' in page


def test_headings_do_not_skip_a_level(page):
    levels = [int(tag[1]) for tag, _ in Page(page).elements if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after <= before + 1 for before, after in zip(levels, levels[1:], strict=False))


def test_a_full_page_stays_small(render, make_row, make_arrays, explained, tmp_path):
    render(make_row(), {"2.25.11": make_arrays(shape=(2600, 2100), explained=explained)})
    assert (tmp_path / "report.html").stat().st_size < 1_500_000


def test_a_folder_that_cannot_be_written_is_a_typed_error(make_row, card, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="output folder"):
        write_report(study_content(make_row(), {}, card), tmp_path / "file" / "report.html")
    assert [item.name for item in tmp_path.iterdir()] == ["file"]


def test_index_lists_every_result_with_its_outcome_and_link(
    make_row, out_of_scope_row, failed_row, tmp_path
):
    rows = [
        (make_row(), "a/report.html"),
        (out_of_scope_row, "b/report.html"),
        (failed_row | {"study_uid": ATTACK}, None),
    ]
    source = write_index(
        [index_entry(row, href) for row, href in rows], tmp_path / "index.html"
    ).read_text("utf-8")
    page = Page(source)
    assert [row["data-outcome"] for row in page.of("tr") if row] == [
        "pneumonia",
        "out of scope",
        "failed",
    ]
    assert [link["href"] for link in page.of("a")] == ["a/report.html", "b/report.html"]
    assert "3 results: 1 pneumonia, 1 out of scope, 1 failed." in page.text
    assert "97.3 % pneumonia" in page.text and "68.7" not in page.text and "got 4096" in page.text
    assert len(page.of("script")) == 1 and strings.RESEARCH_USE in page.text


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
    ("method", "said"),
    [
        ("inpainting", "what is filled in is expected from"),
        ("brightening", "the shape was given beforehand"),
        ("transport", "does not come from the model"),
    ],
)
def test_it_is_said_what_of_a_counterfactual_does_not_come_from_the_model(
    render, make_row, make_arrays, explained, method, said
):
    edit = replace(explained.counterfactual, method=method)
    text = Page(
        render(
            make_row(),
            {"2.25.11": make_arrays(explained=replace(explained, counterfactual=edit))},
        )
    ).text
    assert said in text and "21" in text.split("by more than 2 in ")[1][:5]
