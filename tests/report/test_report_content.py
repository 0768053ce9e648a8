"""Content: what may be shown is decided here, once for every renderer."""

import numpy as np
import pytest

from medinv.errors import ShapeError
from medinv.explanation.evidence import regional
from medinv.report import strings
from medinv.report.content import balance, edge_letters, study_content


def test_out_of_scope_content_holds_no_label_no_probability_and_no_explanation(
    out_of_scope_row, make_arrays, explained, card
):
    content = study_content(out_of_scope_row, {"2.25.11": make_arrays(explained=explained)}, card)
    assert not content.in_scope and content.label is None and content.positive is None
    image = content.images[0]
    assert image.label is None and image.probabilities == () and image.arrays.explanation is None
    assert image.scope.reasons == ("modality CT is not among CR, DX",)


def test_one_image_out_of_scope_does_not_withhold_the_other(
    make_row, out_of_scope_row, make_arrays, explained, card
):
    outside = out_of_scope_row["instances"][0] | {"sop_uid": "2.25.12"}
    row = make_row(instances=[outside, *make_row()["instances"]])
    content = study_content(
        row, {uid: make_arrays(explained=explained) for uid in ("2.25.11", "2.25.12")}, card
    )
    assert content.label == "pneumonia"
    assert [image.sop_uid for image in content.ranked()] == ["2.25.11", "2.25.12"]
    assert content.ranked()[1].arrays.explanation is None


def test_probabilities_may_be_listed_in_the_cards_order(make_row, card):
    assert study_content(make_row(probabilities=[0.2, 0.8]), {}, card).positive == 0.8


def test_a_label_that_contradicts_the_operating_point_is_warned_of(make_row, card):
    assert study_content(make_row(), {}, card).warnings == ()
    (warning,) = study_content(make_row(label="normal"), {}, card).warnings
    assert strings.percent(0.973) in warning and strings.percent(0.42) in warning


def test_weights_other_than_the_cards_are_warned_of_and_named(make_row, card):
    content = study_content(make_row(model={"name": "chest-xray", "sha256": "ab" * 32}), {}, card)
    assert "abababababab" in content.warnings[0]
    assert dict(content.model.hashes)["weights_sha256"] == "ab" * 32


def test_balance_adds_up_to_the_logit_by_pixel_and_by_region(explained):
    evidence = explained.evidence
    for contributions in (evidence.contributions, regional(evidence.contributions)):
        sums = balance(contributions)
        assert sums.towards + sums.against + evidence.bias == pytest.approx(
            evidence.logit, abs=1e-9
        )


@pytest.mark.parametrize(
    ("at", "place"), [((7, 0), (2, 0)), ((0, 2), (0, 0)), ((3, 3), (1, 1)), ((4, 5), (1, 2))]
)
def test_balance_says_in_which_ninth_the_largest_contribution_lies(at, place):
    values = np.full((8, 8), 0.1)
    values[at] = -5.0
    found = balance(values)
    assert (found.place, found.largest, found.against) == (place, -5.0, -5.0)


@pytest.mark.parametrize(
    ("orientation", "letters"),
    [
        (["L", "F"], ("R", "L")),
        (["A", "F"], ("P", "A")),
        (["LF", "P"], ("RH", "LF")),
        (["", ""], None),
        ([], None),
        (None, None),
        (["<b>", "F"], None),
    ],
)
def test_edge_letters_follow_patient_orientation(orientation, letters):
    assert edge_letters(orientation) == letters


@pytest.mark.parametrize(
    "wrong",
    [
        {"network_input": np.zeros((64, 64))},
        {"display": np.zeros((1, 4, 4), np.uint8)},
        {"aspect": 0.0},
    ],
)
def test_arrays_that_are_not_images_are_refused(wrong, make_arrays):
    arrays = make_arrays()
    with pytest.raises(ShapeError, match="expected"):
        type(arrays)(**(vars(arrays) | wrong))


def test_an_explanation_of_another_input_size_is_refused(make_arrays, explained):
    arrays = make_arrays()
    with pytest.raises(ShapeError, match="explain this very input"):
        type(arrays)(
            **(
                vars(arrays)
                | {"network_input": np.zeros((32, 32), np.uint8), "explanation": explained}
            )
        )
