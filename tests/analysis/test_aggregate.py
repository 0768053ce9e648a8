"""A study's label follows from its images by the rule that its row names."""

import json
from typing import get_args

import pytest

from medinv.analysis.aggregate import RULES, SENTENCES, Rule
from medinv.analysis.result import OUT_OF_SCOPE, ImageResult, Scope
from medinv.batch.options import Options
from medinv.batch.run import run
from medinv.config import Aggregation
from medinv.data.dicom.index import index
from medinv.models.store import load


def _entry(image: str, positive: float, series: str = "s", inside: bool = True) -> ImageResult:
    return ImageResult(
        sop_uid=image,
        series_uid=series,
        path=image,
        label=("yes" if positive >= 0.6 else "no") if inside else OUT_OF_SCOPE,
        probabilities={"no": 1 - positive, "yes": positive},
        scope=Scope(in_scope=inside, score=0.0, threshold=1.0),
        modality="DX",
        intake="",
        intake_lossy=True,
        stored_sha256="",
        lossy=False,
        reconstruction_exact=True,
    )


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
    rule = Rule(name, ("no", "yes"), 0.6)
    series = rule.series(IMAGES)
    study = rule.deciding(series)
    assert study.probabilities["yes"] == pytest.approx(positive)
    assert [image.sop_uid for image in study.deciding] == deciding
    assert study.label == ("yes" if positive >= 0.6 else "no")
    assert sum(study.probabilities.values()) == pytest.approx(1)
    assert [(s.series_uid, s.images, s.in_scope) for s in series] == [("s", 5, 4), ("t", 1, 1)]


def test_the_mean_of_the_highest_three() -> None:
    (series,) = Rule("mean-of-top-3", ("no", "yes"), 0.5).series(IMAGES[:5])
    assert series.probabilities["yes"] == pytest.approx(0.5)
    assert [image.sop_uid for image in series.deciding] == ["b", "c", "d"]


@pytest.mark.parametrize("name", RULES)
def test_nothing_in_scope_decides_nothing(name) -> None:
    rule = Rule(name, ("no", "yes"), 0.5)
    (series,) = rule.series(IMAGES[4:5])
    assert rule.deciding([series]) is None and rule.deciding([]) is None
    assert series.label == "out of scope" and series.probabilities is None and not series.deciding


THREE = ("normal", "bacterial", "viral")


def _of_three(image: str, *probabilities: float) -> ImageResult:
    named = dict(zip(THREE, probabilities, strict=True))
    label = max(named, key=lambda name: named[name])
    return _entry(image, 0.0).model_copy(update={"probabilities": named, "label": label})


def test_of_three_classes_the_most_probable_is_called_and_the_surest_image_decides() -> None:
    rule = Rule("maximum", THREE, 0.5)
    images = [_of_three("a", 0.5, 0.3, 0.2), _of_three("b", 0.1, 0.2, 0.7)]
    study = rule.deciding(rule.series(images))
    assert study.label == "viral" and [image.sop_uid for image in study.deciding] == ["b"]
    assert study.answer[:2] == ("viral", 0.7)
    assert "class that is called" in rule.sentence and "positive" not in rule.sentence
    mean = Rule("mean", THREE, 0.5)
    study = mean.deciding(mean.series(images))
    assert study.label == "viral" and study.probabilities == pytest.approx(
        {"normal": 0.3, "bacterial": 0.25, "viral": 0.45}
    )


def test_of_two_classes_the_operating_point_calls_and_the_positive_one_is_quoted() -> None:
    rule = Rule("maximum", ("no", "yes"), 0.2)
    study = rule.deciding(rule.series([_entry("a", 0.25)]))
    assert study.label == "yes" and study.answer[:2] == ("yes", 0.25)


def test_at_the_operating_point_itself_the_positive_class_is_called() -> None:
    assert Rule("maximum", ("no", "yes"), 0.25).label({"no": 0.75, "yes": 0.25}) == "yes"


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
        (result,) = run(index([tmp_path / "in"]), [model], Options(out, rule=asked)).results
        assert result.rule == rule and len(result.deciding) == deciding
        assert result.aggregation == Rule(rule, model.classes, model.threshold).sentence
        assert json.loads((out / "run.json").read_text())["models"][0]["rule"] == rule
