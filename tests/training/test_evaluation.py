"""A model on a labelled set: by patient, by subgroup, beside another, and refused by name."""

import json
import sys
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score
from typer.testing import CliRunner

from medinv.cli.main import app, main
from medinv.data.prepare.write import Content, write_set
from medinv.data.sets.info import About
from medinv.data.sets.labelled import LabelledImages, Part
from medinv.data.sets.subgroups import subgroups
from medinv.errors import ConfigError, DataError
from medinv.metrics import auc, patient_draws
from medinv.models.density import Classifier
from medinv.models.store import load, save, serialise
from medinv.training.bootstrap import estimates
from medinv.training.evaluation import Request, answers, evaluate_set, usual_columns


@pytest.fixture
def folder(tiny_folder: Path) -> Path:
    """The tiny model as a folder."""
    return tiny_folder


@pytest.fixture(scope="module")
def twin(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same model with class means drawn together: a worse one."""
    model = load(tiny_folder, Classifier)
    model.means.data[1] = -model.means.data[1]
    model.means.data[0] = -model.means.data[0]
    weights, digest = serialise(model)
    out = tmp_path_factory.mktemp("turned")
    save(out, weights, model.card.model_copy(update={"name": "turned", "weights_sha256": digest}))
    return out


def prepared(out: Path, data: LabelledImages, names: tuple[str, str], **more) -> Path:
    """The test images as a set's test part, two images a patient; the others for training."""
    images = np.concatenate([data.test.images, data.train.images[:8]])
    labels = np.concatenate([data.test.labels, data.train.labels[:8]])
    n, rest = len(data.test), 8
    ages = np.r_[np.arange(n) * 90.0 / n, np.full(rest, 50.0)]
    ages[0] = np.nan
    content = Content(
        images,
        [names[k] for k in labels],
        ["test"] * n + ["training"] * rest,
        [f"patient-{k // 2 if k < n else k}" for k in range(n + rest)],
        columns={
            "sex": [("F", "M", "")[k % 3] for k in range(n + rest)],
            "age": ages,
            "site": ["one"] * n + ["two"] * rest,
        },
        headers={"manufacturer": ["A"] * (n // 2) + ["B"] * (n + rest - n // 2)},
        **more,
    )
    write_set(out, content, About(name="mine"), classes=names)
    return out


@pytest.fixture
def mine(tmp_path: Path, tiny_data: LabelledImages) -> Path:
    return prepared(tmp_path / "set", tiny_data, ("clear", "opacity"))


def test_the_figures_are_those_of_the_images(
    mine: Path, folder: Path, tiny_data: LabelledImages
) -> None:
    model = load(folder)
    found = evaluate_set(Request(mine), model)
    whole = found.groups[0]
    said = answers(model, tiny_data.test.images)
    assert whole.images == 64 and whole.patients == 32
    expected = roc_auc_score(tiny_data.test.labels, said.probabilities[:, 1])
    assert whole.metrics["auc"].value == pytest.approx(expected)
    assert whole.metrics["auc"].low < expected < whole.metrics["auc"].high
    hits = (said.probabilities[:, 1] >= model.threshold) == tiny_data.test.labels
    assert whole.metrics["accuracy"].value == pytest.approx(hits.mean())
    assert found.flagged.value == pytest.approx((~said.in_scope).mean())


def test_classes_are_matched_by_name_not_by_number(
    tmp_path: Path, mine: Path, folder: Path, tiny_data: LabelledImages
) -> None:
    names = ("opacity", "clear")
    turned = Part(tiny_data.test.images, 1 - tiny_data.test.labels, tiny_data.test.patients)
    train = Part(tiny_data.train.images, 1 - tiny_data.train.labels, tiny_data.train.patients)
    data = LabelledImages(train, tiny_data.validation, turned)
    other = prepared(tmp_path / "other", data, names)
    model = load(folder)
    first, second = (evaluate_set(Request(each), model).groups[0] for each in (mine, other))
    assert first.metrics == second.metrics and first.classes == second.classes


def test_subgroups_are_words_and_bins(mine: Path, folder: Path) -> None:
    found = evaluate_set(Request(mine), load(folder))
    names = [(group.column, group.value) for group in found.groups if group.column != "scope"]
    assert names == [
        ("", "all"), ("sex", "F"), ("sex", "M"), ("sex", "not stated"), ("age", "below 18"),
        ("age", "18 to below 40"), ("age", "40 to below 65"), ("age", "65 and above"),
        ("age", "not stated"), ("manufacturer", "A"), ("manufacturer", "B"),
    ]  # fmt: skip
    by_name = {(group.column, group.value): group for group in found.groups}
    alone = by_name["age", "not stated"]
    assert alone.images == 1 and alone.metrics == {}
    for column in ("sex", "age", "manufacturer"):
        parts = [group for group in found.groups if group.column == column]
        assert sum(group.images for group in parts) == 64
    cut = evaluate_set(Request(mine, columns=("age",), edges={"age": [30]}), load(folder))
    assert [group.value for group in cut.groups if group.column == "age"] == [
        "below 30", "30 and above", "not stated",
    ]  # fmt: skip


def test_two_models_are_compared_on_the_same_patients(mine: Path, folder: Path, twin: Path) -> None:
    good, bad = load(folder), load(twin)
    same = evaluate_set(Request(mine, columns=()), good, load(folder)).groups[0].difference
    assert all(one.value == one.low == one.high == 0 for one in same.values())
    found = evaluate_set(Request(mine, columns=()), good, bad)
    alone = evaluate_set(Request(mine, columns=()), bad)
    for name, difference in found.groups[0].difference.items():
        first, second = found.groups[0].metrics[name], alone.groups[0].metrics[name]
        assert difference.value == pytest.approx(first.value - second.value)
    paired = found.groups[0].difference["auc"]
    assert paired.low < paired.value < paired.high and found.against.name == "turned"


def test_intervals_are_of_patients_not_of_images() -> None:
    """Each image ten times over says no more than once."""
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 2, 40)
    scores = 1 / (1 + np.exp(-(labels + generator.normal(size=40))))
    rows = np.repeat(np.arange(40), 10)

    def interval(labels, scores, patients):
        said = (np.c_[1 - scores, scores], (scores > 0.6).astype(int))
        return estimates(labels, patients, ("a", "b"), [said])[0]["auc"]

    once = interval(labels, scores, np.arange(40))
    often = interval(labels[rows], scores[rows], rows)
    assert often.value == pytest.approx(once.value)
    assert (often.low, often.high) == pytest.approx((once.low, once.high))
    assert once.high - once.low > 0.1


def test_area_by_ranks_is_scikit_learns_with_ties() -> None:
    generator = np.random.default_rng(1)
    labels, scores = generator.integers(0, 2, 200), generator.integers(0, 9, 200)
    assert auc(labels == 1, scores) == pytest.approx(roc_auc_score(labels, scores))


def test_resamples_hold_whole_patients() -> None:
    patients = np.array([3, 1, 3, 2, 1, 3])
    for rows in islice(patient_draws(patients, 0), 20):
        for patient in (1, 2, 3):
            counts = np.bincount(rows[patients[rows] == patient], minlength=6)
            assert len(set(counts[patients == patient])) == 1


def test_three_classes_have_metrics_by_class() -> None:
    labels = np.tile([0, 1, 2], 20)
    probabilities = np.eye(3)[labels] * 0.6 + 0.4 / 3
    said = (probabilities, np.where(labels == 2, 1, labels))
    (found,) = estimates(labels, np.arange(60), ("a", "b", "c"), [said])
    assert found["sensitivity of a"].value == 1 and found["sensitivity of c"].value == 0
    assert found["accuracy"].value == pytest.approx(2 / 3) and found["auc"].value == 1


def test_classes_that_differ_are_refused_with_both_lists_unless_mapped(
    tmp_path: Path, folder: Path, tiny_data: LabelledImages, mine: Path
) -> None:
    other = prepared(tmp_path / "other", tiny_data, ("normal", "shadow"))
    model = load(folder)
    with pytest.raises(ConfigError, match=r"normal, shadow.*clear, opacity.*--map normal="):
        evaluate_set(Request(other), model)
    renamed = {"normal": "clear", "shadow": "opacity"}
    mapped = evaluate_set(Request(other, renamed=renamed), model)
    assert mapped.groups[0].metrics == evaluate_set(Request(mine), model).groups[0].metrics
    with pytest.raises(ConfigError, match="no such class"):
        evaluate_set(Request(other, renamed={"healthy": "clear"}), model)


def test_images_of_another_shape_are_refused_with_the_size_to_prepare(
    tmp_path: Path, folder: Path, tiny_data: LabelledImages
) -> None:
    doubled = [
        Part(part.images.repeat(2, 2).repeat(2, 3), part.labels, part.patients)
        for part in (tiny_data.train, tiny_data.validation, tiny_data.test)
    ]
    large = prepared(tmp_path / "large", LabelledImages(*doubled), ("clear", "opacity"))
    with pytest.raises(DataError, match="--size 16x16"):
        evaluate_set(Request(large), load(folder))


def test_parts_and_columns_that_are_not_there_are_named(mine: Path, folder: Path) -> None:
    with pytest.raises(ConfigError, match="training, validation, test or all"):
        evaluate_set(Request(mine, part="tests"), load(folder))
    with pytest.raises(DataError, match="0 validation"):
        evaluate_set(Request(mine, part="validation"), load(folder))
    with pytest.raises(ConfigError, match=r"--by height.*age"):
        evaluate_set(Request(mine, columns=("height",)), load(folder))
    assert evaluate_set(Request(mine, part="all", columns=()), load(folder)).groups[0].images == 72


def test_the_command_prints_a_table_and_writes_json(
    mine: Path, folder: Path, twin: Path, tmp_path: Path
) -> None:
    words = ["evaluate", "--model", str(folder), "--data", str(mine), "--by", "sex"]
    words += ["--against", str(twin), "--json", str(tmp_path / "out.json")]
    run = CliRunner().invoke(app, words)
    assert run.exit_code == 0, run.output
    assert "sex F: 22 images" in run.output and "difference +" in run.output
    assert "flagged as out of scope" in run.output and "not for diagnosis" in run.output
    tree = json.loads((tmp_path / "out.json").read_text())
    assert tree["against"]["name"] == "turned" and tree["groups"][0]["metrics"]["auc"]["n"] == 64


def test_exit_codes(
    mine: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def code(*words: str) -> int | str | None:
        monkeypatch.setattr(sys, "argv", ["medinv", "evaluate", "--model", *words])
        with pytest.raises(SystemExit) as ended:
            main()
        return ended.value.code

    assert code(str(folder), "--data", str(mine), "--bins", "age=old") == 2
    assert code(str(folder), "--by", "sex") == 2
    assert code("no-such-model", "--data", str(mine)) == 4
    assert code(str(folder), "--data", str(tmp_path)) == 2
    assert code(str(folder), "--data", str(mine), "--by", "-") == 0


def test_numbers_of_few_values_are_taken_as_they_are() -> None:
    part = Part(
        np.zeros((4, 1, 4, 4), np.uint8),
        np.zeros(4, int),
        np.arange(4),
        columns={"grade": np.array([1.0, 2.0, np.nan, 2.0])},
    )
    found = {value: rows.tolist() for _, value, rows in subgroups(part, ["grade"], {})}
    assert found == {
        "1": [True, False, False, False],
        "2": [False, True, False, True],
        "not stated": [False, False, True, False],
    }


def test_ages_that_18_does_not_divide_are_cut_at_their_quartiles() -> None:
    ages = np.linspace(1, 6, 41)
    part = Part(np.zeros((41, 1, 4, 4), np.uint8), np.zeros(41, int), np.arange(41), {"age": ages})
    names = [name for _, name, _ in subgroups(part, ["age"], {})]
    assert names == ["below 2.25", "2.25 to below 3.5", "3.5 to below 4.75", "4.75 and above"]


def test_ages_in_words_are_numbers() -> None:
    ages = np.array(["045Y", "17", "", "018M"])
    part = Part(np.zeros((4, 1, 4, 4), np.uint8), np.zeros(4, int), np.arange(4), {"age": ages})
    found = {value: rows.tolist() for _, value, rows in subgroups(part, ["age"], {"age": [18]})}
    assert found == {
        "below 18": [False, True, False, True],
        "18 and above": [True, False, False, False],
        "not stated": [False, False, True, False],
    }


def test_a_set_of_16_bits_is_for_models_of_16_bits(
    tmp_path: Path, folder: Path, tiny_data: LabelledImages
) -> None:
    deep = LabelledImages(
        *(replace(part, images=part.images.astype(np.uint16)) for part in vars(tiny_data).values())
    )
    mine, model = prepared(tmp_path / "deep", deep, ("clear", "opacity")), load(folder)
    with pytest.raises(DataError, match=r"holds 16 bits, .* reads 8: .* --bits 8"):
        evaluate_set(Request(mine), model)
    model.card = model.card.model_copy(update={"bits": 16})
    found = evaluate_set(Request(mine, columns=()), model, model)
    assert found.groups[0].metrics["auc"].n == 64
    with pytest.raises(ConfigError, match="trained on images of 16 bits"):
        model.card.check_takes_studies()


def test_a_column_that_says_the_same_of_all_images_makes_no_subgroup(
    tiny_data: LabelledImages,
) -> None:
    count = len(tiny_data.test)
    columns = {"manufacturer": np.full(count, ""), "sex": np.array(["F", "M"] * (count // 2))}
    assert usual_columns(replace(tiny_data.test, columns=columns)) == ("sex",)
