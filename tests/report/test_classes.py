"""More than two classes: the called one with its probability, and the others."""

import json

import pytest
from made import Page, edited, first, pdf_words

from medinv.report import derived, write
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
        "The model calls this image malignant. The calibrated probability of malignant is 70.0 %, "
        "of benign 20.0 %, of normal 10.0 %.",
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
