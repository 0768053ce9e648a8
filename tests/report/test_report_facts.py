"""JSON: every fact of the content with its unit, no array, no name."""

import json
from typing import Any

import numpy as np
import pytest

from medinv.report.background import Background
from medinv.report.content import study_content
from medinv.report.json import GREY, ODDS, SCHEMA, facts, write_json

ATTACK = "</script><script>alert(1)</script>"


def walk(value: Any, path: str = ""):
    """Every leaf with its path."""
    items = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    for key, item in items:
        yield from walk(item, f"{path}/{key}")
    if not isinstance(value, dict | list):
        yield path, value


@pytest.fixture
def written(tmp_path, make_row, make_arrays, explained, card, make_background):
    content = study_content(
        make_row(),
        {"2.25.11": make_arrays(explained=explained, background=make_background())},
        card,
    )
    return json.loads(write_json(content, tmp_path / "report.json").read_text("utf-8"))


def test_the_numbers_are_the_contents_with_their_units(written, explained):
    image = written["images"][0]
    assert written["schema"] == SCHEMA and "not for diagnosis" in written["disclaimer"]
    assert written["probabilities"]["pneumonia"] == {"value": 0.973, "unit": "1"}
    evidence, edit = image["explanation"]["evidence"], image["explanation"]["counterfactual"]
    assert evidence["logit"] == {"value": explained.evidence.logit, "unit": ODDS}
    assert sum(
        evidence[name]["value"] for name in ("constant", "towards", "against")
    ) == pytest.approx(explained.evidence.logit)
    assert edit["rms"] == {"value": 7.93, "unit": GREY} and edit["valid"] is True
    assert image["background"]["trace"]["depths"][0]["condition_number"]["value"] == 1.5
    assert image["background"]["nearest"]["cases"][0] == {
        "training_row": 12,
        "label": "pneumonia",
        "distance": {"value": 0.6, "unit": "standard deviations"},
    }
    assert image["background"]["controls"]["changes"][0]["flipped"] is True


def test_every_number_that_is_no_count_has_a_unit_and_nothing_is_an_array(written):
    leaves = dict(walk(written))
    bare = {
        path
        for path, value in leaves.items()
        if isinstance(value, float) and not path.endswith(("/value", "/low", "/high", "/level"))
    }
    assert not {
        path
        for path in bare
        if not path.startswith("/model/")
        and not path.endswith(("probability_from", "probability_below", "height_over_width"))
    }
    assert len(leaves) < 600


def test_what_may_not_be_shown_is_not_written(
    out_of_scope_row, make_arrays, explained, make_background, card
):
    found = facts(
        study_content(
            out_of_scope_row,
            {"2.25.11": make_arrays(explained=explained, background=make_background())},
            card,
        )
    )
    assert (
        found["label"] is None
        and found["probabilities"] == {}
        and found["images"][0]["explanation"] is None
    )
    assert found["images"][0]["background"] is None and "0.6872" not in json.dumps(found)


def test_paths_stay_out_and_strings_from_outside_are_only_strings(
    tmp_path, make_row, failed_row, card
):
    row = make_row(warnings=[ATTACK], study_uid=ATTACK)
    text = write_json(study_content(row, {}, card), tmp_path / "a.json").read_text("utf-8")
    assert json.loads(text)["warnings"] == [ATTACK] and "Doe" not in text and ".dcm" not in text
    assert facts(study_content(failed_row, {}, card))["error"]["code"] == "pixel-data"


def test_values_that_are_not_numbers_are_no_json(
    tmp_path, make_row, make_arrays, make_explanation, card
):
    broken = make_explanation()
    object.__setattr__(broken.reconstruction, "max_abs_error", float(np.nan))
    with pytest.raises(ValueError, match="JSON"):
        write_json(
            study_content(make_row(), {"2.25.11": make_arrays(explained=broken)}, card),
            tmp_path / "a.json",
        )


def test_background_that_is_not_given_is_none(make_row, make_arrays, explained, card):
    found = facts(
        study_content(
            make_row(), {"2.25.11": make_arrays(explained=explained, background=Background())}, card
        )
    )
    assert found["images"][0]["background"] == {"trace": None, "nearest": None, "controls": None}
