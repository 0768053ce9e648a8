"""A study's label follows from its images by the rule that its row names."""

import json
from typing import get_args

import pytest

from medinv.analysis.aggregate import RULES, SENTENCES, Rule
from medinv.batch.options import Options
from medinv.batch.run import run
from medinv.config import Aggregation
from medinv.data.dicom.index import index
from medinv.models.store import load


def _entry(image: str, positive: float, series: str = "s", inside: bool = True) -> dict:
    return {
        "sop_uid": image,
        "frame": None,
        "series_uid": series,
        "probabilities": {"no": 1 - positive, "yes": positive},
        "scope": {"in_scope": inside},
    }


IMAGES = [
    _entry("a", 0.1),
    _entry("b", 0.9),
    _entry("c", 0.4),
    _entry("d", 0.2),
    _entry("e", 1.0, inside=False),
    _entry("f", 0.55, "t"),
]


@pytest.mark.parametrize(
    "name, positive, deciding",
    [("maximum", 0.9, ["b"]), ("mean-of-top-3", 0.55, ["f"]), ("mean", 0.55, ["f"])],
    ids=lambda value: str(value),
)
def test_each_rule_names_what_decided(name, positive, deciding) -> None:
    study = Rule(name, ("no", "yes"), 0.6).study(IMAGES)
    assert (
        study["probabilities"]["yes"] == pytest.approx(positive)
        and [d["sop_uid"] for d in study["deciding"]] == deciding
    )
    assert study["label"] == ("yes" if positive >= 0.6 else "no") and sum(
        study["probabilities"].values()
    ) == pytest.approx(1)
    assert [(s["series_uid"], s["images"], s["in_scope"]) for s in study["series"]] == [
        ("s", 5, 4),
        ("t", 1, 1),
    ]


def test_the_mean_of_the_highest_three() -> None:
    (series,) = Rule("mean-of-top-3", ("no", "yes"), 0.5).study(IMAGES[:5])["series"]
    assert series["probabilities"]["yes"] == pytest.approx(0.5) and [
        d["sop_uid"] for d in series["deciding"]
    ] == ["b", "c", "d"]


@pytest.mark.parametrize("name", RULES)
def test_nothing_in_scope_decides_nothing(name) -> None:
    study = Rule(name, ("no", "yes"), 0.5).study(IMAGES[4:5])
    assert (
        study["label"] == "out of scope"
        and study["probabilities"] is None
        and study["deciding"] == []
    )


def test_a_card_can_name_every_rule() -> None:
    assert set(get_args(Aggregation)) == set(RULES) == set(SENTENCES)


def test_the_rule_is_the_cards_unless_the_user_names_one(write_film, tmp_path) -> None:
    model = load("phantom-opacity")
    assert model.card.aggregation == "maximum"
    model.card = model.card.model_copy(update={"aggregation": "mean"})
    for image in (1, 2):
        write_film(tmp_path / "in" / f"{image}.dcm", 1, image)
    for asked, rule, deciding in ((None, "mean", 2), ("maximum", "maximum", 1)):
        out = tmp_path / rule
        (row,) = run(index([tmp_path / "in"]), [model], Options(out, rule=asked)).rows
        assert (
            row["rule"] == rule
            and row["aggregation"] == SENTENCES[rule]
            and len(row["deciding"]) == deciding
        )
        assert json.loads((out / "run.json").read_text())["models"][0]["rule"] == rule
