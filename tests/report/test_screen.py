"""What is read first: the answer, the picture, the place or none, what would change it, trust."""

import re
from dataclasses import replace

import numpy as np
import pytest
from made import Page, edited, explanation_with, first

from medinv.explanation.result import SmallestPart
from medinv.models.audited import NOT_AUDITED, Audited
from medinv.report import strings

FORMS = ("html", "pdf")


@pytest.fixture
def screen(rendered):
    """The words and the elements before what is folded."""

    def make(result, card=None) -> Page:
        source = rendered(result, "html", card).decode("utf-8")
        return Page(source.split('<div class="more">')[0])

    return make


def overlays(page: Page) -> list:
    return [one for one in page.of("image") if "overlay" in one.get("class", "")]


def test_the_first_screen_is_few_words_and_the_proof_is_folded(screen, opacity, rendered):
    said = screen(opacity).text
    body = said.split("medinv", 1)[1]
    assert len(body.split()) < 150, body
    for folded in ("log-odds", "decode back to every stored", "The interval says", "Network input"):
        assert folded not in body
    whole = rendered(opacity).decode("utf-8")
    assert whole.count("<details") >= 7 and "<details open" not in whole


def test_a_place_is_drawn_and_named_only_where_it_was_checked(screen, opacity):
    sound = screen(opacity)
    assert len(overlays(sound)) == 1 and "speaks most for opacity" in sound.text
    check = replace(first(opacity).explanation.local_evidence.check, fall=-1.0)
    unchecked = screen(edited(opacity, explanation={"local_evidence": {"check": check}}))
    assert not overlays(unchecked) and "speaks most" not in unchecked.text
    assert "No place can be named: a change elsewhere moves the answer as much." in unchecked.text


def test_more_evidence_outside_the_region_is_said(screen, opacity):
    local = first(opacity).explanation.local_evidence
    inside = np.ones(local.locations.shape, bool)
    told = {"region": inside, "region_name": "lungs"}
    less, more = (
        screen(edited(opacity, explanation={"local_evidence": told | {"outside": share}})).text
        for share in (0.0, 100.0)
    )
    assert "More of the evidence lies outside the lungs" in more
    assert "outside the lungs" not in less and "in the lungs" in less


def test_sides_are_the_patients_where_the_header_says_so(screen, opacity):
    values = first(opacity).explanation.local_evidence.locations
    right = np.unravel_index(values.argmax(), values.shape)[1] > values.shape[1] / 2
    side, column = ("left", "right") if right else ("right", "left")
    assert f"patient's {side}" in screen(opacity).text
    silent = replace(first(opacity).pixels, orientation=())
    assert f"{column} of the image" in screen(edited(opacity, pixels=silent)).text


@pytest.mark.parametrize(
    ("method", "name"),
    [
        ("inpainting", "Without this part"),
        ("brightening", "With a faint brightening"),
        ("exchange", "With the lungs of another child"),
        ("transport", "Changed as the groups of images differ"),
        ("direction", "What this model would need to see"),
    ],
)
def test_counterfactuals_go_by_plain_names(screen, normal, method, name):
    told = {"counterfactual": {"method": method, "flipped": True, "in_scope": True, "changed": 0.4}}
    assert f"{name}: pneumonia" in screen(edited(normal, explanation=told)).text


def test_an_exchange_of_more_than_the_region_is_called_so(screen, normal):
    told = {"method": "exchange", "flipped": True, "in_scope": True, "changed": 0.9}
    said = screen(edited(normal, explanation={"counterfactual": told})).text
    assert "another child and what lies around them: pneumonia" in said


def test_no_change_that_was_tried_is_told_as_such(screen, opacity):
    said = screen(edited(opacity, explanation={"counterfactual": {"flipped": False}}))
    assert "Nothing that was tried makes the answer clear." in said.text


@pytest.mark.parametrize("form", FORMS)
def test_the_smallest_part_is_told_with_its_share_or_that_there_is_none(form, words, normal):
    edit = first(normal).explanation.counterfactual
    valid = replace(edit, flipped=True, in_scope=True, method="smallest")
    mask = np.zeros(edit.image.shape, bool)
    mask[:8, :8] = True
    part = SmallestPart("pneumonia", 90, 11, 0.124, mask, valid)
    said = words(edited(normal, explanation={"smallest_part": part}), form)
    assert "The smallest part of the lungs that changes it is 12 % of them." in said
    assert "divided into 90 cells; with these 11 changed" in said
    assert "without any one of the cells the answer stays" in said
    none = SmallestPart("pneumonia", 90, 0, 0.0, np.zeros_like(mask), None)
    said = words(edited(normal, explanation={"smallest_part": none}), form)
    assert "No part of the lungs changes it." in said
    assert "Even with all of them changed the answer does not become pneumonia" in said


@pytest.mark.parametrize("form", FORMS)
def test_what_the_model_looks_at_is_told_from_its_audit(form, words, opacity, card_of):
    card = card_of(opacity)
    bare = card.model_copy(update={"audit": None})
    assert NOT_AUDITED in words(opacity, form, bare)
    audit = Audited(
        kind="surround", sentence="Decides by the border: AUC 0.9 of it alone.", cautions=(),
        region="", figures={}, data_sha256="0", part="test", images=9, patients=9, quick=False,
        seed=0, weights_sha256=card.weights_sha256,
    )  # fmt: skip
    audited = card.model_copy(update={"audit": audit})
    said = words(opacity, form, audited)
    assert "Decides by the border." in said and "Decides by the border: AUC 0.9" in said


def test_a_round_trip_that_failed_is_said_first(screen, opacity):
    bad = explanation_with(first(opacity).explanation, reconstruction={"exact": False})
    assert "Distrust the explanation" in screen(edited(opacity, explanation=bad)).text
    assert "Exact: what decided decodes back" in screen(opacity).text


def test_without_an_answer_the_reason_stands_first(screen, outside):
    page = screen(outside)
    assert re.search(r"No answer .*Why", page.text) and not overlays(page)
    assert page.text.count("images in scope reach") == 1, "once, in words"
    assert f"score {first(outside).scope.score:.1f}, a distance" in page.text
    for withheld in ("What would change it", "probability of", "speaks"):
        assert withheld not in page.text


def test_every_other_reason_is_told_too(screen, outside):
    scope = first(outside).scope
    reasons = (*scope.reasons, "layout: it looks upside down")
    page = screen(edited(outside, scope=scope.model_copy(update={"reasons": reasons})))
    assert "It looks upside down." in page.text
    assert page.text.count("images in scope reach") == 1


def test_without_an_explanation_that_is_said(screen, opacity):
    said = screen(edited(opacity, explanation=None)).text
    assert strings.NOT_EXPLAINED in said and "speaks most" not in said
