"""More than two classes: the called one with its probability, and the others."""

import json

import pytest
from made import Page, edited, first, pdf_words

from medinv.analysis.result import Scope
from medinv.metrics import ClassMetrics, Estimate
from medinv.report import derived, strings, write
from medinv.report.figures import pictures

NAMED = {"benign": 0.2, "malignant": 0.7, "normal": 0.1}


@pytest.fixture
def three(opacity, card_of):
    """A result of three classes with a real explanation, relabelled, and a card that fits it."""
    image = {"label": "malignant", "probabilities": NAMED}
    told = edited(opacity, explanation={"counterfactual": {"target": "benign"}}, **image)
    series = tuple(one.model_copy(update=image) for one in told.series)
    result = told.model_copy(update={**image, "series": series})
    card = card_of(opacity)
    calibration = card.calibration.model_copy(update={"interval": None, "observed": ()})
    changed = {"classes": tuple(NAMED), "operating_point": None, "calibration": calibration}
    return result, card.model_copy(update=changed)


def test_the_called_class_is_told_with_the_others(three):
    result, card = three
    others = (("benign", 0.2), ("normal", 0.1))
    assert result.answer == ("malignant", 0.7, others)
    assert derived.contrast(first(result), card) == ("malignant", "benign", False)
    assert derived.study_uncertainty(result, card) is None


@pytest.mark.parametrize("form", ["html", "pdf"])
def test_the_report_names_all_classes_and_claims_no_operating_point(three, form, tmp_path):
    result, card = three
    data = write.RENDERERS[form](result, card, pictures(result))
    said = (
        Page(data.decode("utf-8")).text
        if form == "html"
        else " ".join(pdf_words(data, tmp_path / "report.pdf"))
    )
    for sentence in (
        "The model calls this image malignant; the next likely class is benign. The calibrated "
        "probability of malignant is 70.0 %, of benign 20.0 %, of normal 10.0 %.",
        "the log-odds of malignant against benign",
        "the share of malignant in the probability of both (sigmoid)",
        "the label, the most probable of 3 classes: 70.0 %",
        "towards malignant, blue places towards benign",
        "Classes benign, malignant, normal",
    ):
        assert sentence in said
    assert "operating point" not in said


def test_an_explanation_is_held_against_the_two_classes_that_it_is_between(three):
    result, card = three
    logit = first(result).explanation.evidence.logit
    assert any("log-odds explained" in one for one in derived.warnings(result, card))
    share = derived.sigmoid(logit)
    fitting = {"benign": 0.9 * (1 - share), "malignant": 0.9 * share, "normal": 0.1}
    told = edited(result, probabilities=fitting).model_copy(update={"probabilities": fitting})
    assert derived.warnings(told, card) == ()


def test_facts_hold_every_class(three):
    result, card = three
    found = json.loads(write.RENDERERS["json"](result, card, pictures(result)))
    assert {name: one["value"] for name, one in found["probabilities"].items()} == NAMED
    assert found["series"][0]["probability"]["value"] == 0.7


def test_dicom_results_say_the_called_class_is_present(three, tmp_path):
    import pydicom

    result, card = three
    said = write.dicom(result, card, tmp_path)
    (report,) = (path for path in said["dicom"] if "/sr-" in path)
    text = str(pydicom.dcmread(tmp_path / report))
    assert "'malignant'" in text and "'Present'" in text and "'Absent'" not in text


def test_the_interval_is_what_fits_to_other_patients_give(three):
    """Each fit is applied to the log-probabilities, which are the logits but for a constant."""
    result, card = three
    same, doubt = (1.0, 0.0, 0.0, 0.0), (0.5, 0.0, 0.0, 0.0)
    fits = card.calibration.model_copy(
        update={"refits": (same,) * 20 + (doubt,) * 20, "refitted_on": (80, 60)}
    )
    sure = derived.study_uncertainty(result, card.model_copy(update={"calibration": fits}))
    doubted = {name: share**0.5 for name, share in NAMED.items()}
    assert sure.low == pytest.approx(doubted["malignant"] / sum(doubted.values()))
    assert sure.high == pytest.approx(NAMED["malignant"])
    assert (sure.images, sure.patients, sure.observed) == (80, 60, None)
    told = result.model_copy(update={"probabilities": NAMED})
    assert "80 images" in " ".join(strings.certainty(told.answer, sure, False))


def test_many_classes_of_any_language_and_length_are_told_in_order(three, tmp_path):
    result, card = three
    names = [
        "<b>Lungenentzündung</b> & Erguß",
        "肺炎",
        *(f"class {k} " + "x" * 40 for k in range(11)),
    ]
    shares = [0.05, 0.5, *(0.45 / 11,) * 11]
    named = dict(zip(names, shares, strict=True))
    image = {"label": "肺炎", "probabilities": named}
    told = edited(result, explanation={"counterfactual": {"target": names[0]}}, **image)
    told = told.model_copy(update=image)
    card = card.model_copy(update={"classes": tuple(names)})
    page = Page(write.RENDERERS["html"](told, card, pictures(told)).decode("utf-8"))
    assert "the next likely class is <b>Lungenentzündung</b> & Erguß" in page.text
    assert not page.of("b"), "a name is no markup"
    assert "of 9 others together" in page.text and "3 other classes" in page.text
    rows = strings.class_rows(told.answer)
    assert rows[0] == ("肺炎", 0.5) and sum(share for _, share in rows) == pytest.approx(1)
    assert [share for _, share in rows[1:-1]] == sorted((s for _, s in rows[1:-1]), reverse=True)
    pdf_words(write.RENDERERS["pdf"](told, card, pictures(told)), tmp_path / "report.pdf")


def test_grades_are_told_with_the_grade_expected(three):
    result, card = three
    config = card.config.model_copy(
        update={"model": card.config.model.model_copy(update={"ordered": True})}
    )
    card = card.model_copy(update={"config": config})
    page = Page(write.RENDERERS["html"](result, card, pictures(result)).decode("utf-8"))
    assert "the expected grade is 0.90, from 0 (benign) to 2 (normal)" in page.text


@pytest.mark.parametrize("form", ["html", "pdf", "json"])
def test_a_model_without_a_scope_says_so_wherever_its_scope_would_be_told(three, form, tmp_path):
    result, card = three
    unknown = Scope(in_scope=True, score=None, threshold=None)
    told, card = edited(result, scope=unknown), card.model_copy(update={"scope": None})
    data = write.RENDERERS[form](told, card, pictures(told))
    if form == "json":
        scope = json.loads(data)["images"][0]["scope"]
        assert scope["in_scope"] and scope["score"] is None and scope["threshold"] is None
        return
    said = (
        Page(data.decode("utf-8")).text
        if form == "html"
        else " ".join(pdf_words(data, tmp_path / "report.pdf"))
    )
    assert "This model cannot tell whether the image is of the kind that it was made for" in said
    assert "this model cannot judge its scope" in said and "likelihood" not in said.lower()


def test_each_class_is_told_with_what_it_was_called(three):
    result, card = three
    share = Estimate(value=0.8, low=0.7, high=0.9, n=50)
    one = ClassMetrics(
        name="benign", images=50, auc=share, sensitivity=share, specificity=share,
        precision=None, called=(40, 10, 0),
    )  # fmt: skip
    card = card.model_copy(update={"by_class": (one,)})
    page = Page(write.RENDERERS["html"](result, card, pictures(result)).decode("utf-8"))
    assert "0.800 (0.700 to 0.900)" in page.text and "40 benign, 10 malignant" in page.text
    told = json.loads(write.RENDERERS["json"](result, card, pictures(result)))["model"]["by_class"]
    assert told[0]["called"] == [40, 10, 0] and told[0]["precision"] is None
