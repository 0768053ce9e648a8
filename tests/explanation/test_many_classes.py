"""More than two classes, of every invertible kind, in grey and in colour: each claim is re-checked
against the network itself."""

from copy import deepcopy

import numpy as np
import pytest
import torch

from medinv.config import Config, load_config
from medinv.data.sets.labelled import LabelledImages, Part
from medinv.data.sets.phantoms import PHANTOMS
from medinv.errors import ConfigError
from medinv.explanation.evidence import evidence
from medinv.explanation.explain import explain
from medinv.explanation.sanity import cosine, sham_head
from medinv.explanation.trunk import asked
from medinv.explanation.written import arrays, scalars
from medinv.models.store import load
from medinv.training.publish import publish
from medinv.training.train import train

CLASSES = ("none", "top", "bottom", "both")
KINDS = {
    "density": ("phantom-opacity.yaml", "model.depths=[1,1]", "model.hidden=[8,8]"),
    "pooled": ("cifar10.yaml", "model.depths=[1,1]", "model.hidden=[24,32]", "model.whiten=false"),
}
SIZE = (16, 24)  # not a square


def images(count: int, channels: int, seed: int) -> Part:
    """Grey noise with a bright bar above, below, in both places or in none."""
    generator = np.random.default_rng(seed)
    labels = np.arange(count) % len(CLASSES)
    x = generator.normal(90, 12, (count, channels, *SIZE))
    x[labels % 2 == 1, :, 2:6, 6:18] += 70
    x[labels >= 2, :, 10:14, 6:18] += 70
    patients = 1000 * seed + np.arange(count)
    return Part(x.clip(0, 255).round().astype(np.uint8), labels.astype(np.int64), patients)


def configured(configs, kind: str, channels: int) -> Config:
    name, *model = KINDS[kind]
    changes = (
        f"name=four-{kind}", "data={set: prepared, folder: none, size: [16, 24]}",
        f"model.channels={channels}",
        f"model.classes=[{','.join(CLASSES)}]", "model.mean=95", "model.std=40", "train.epochs=12",
        "train.batch=16", "train.average=0.5", "train.shift=0", "train.noise=0", "train.warmup=1",
        *model,
    )  # fmt: skip
    more = {
        "density": (),
        "pooled": (
            "train.bfloat16=false",
            "train.cutout=0",
            "train.flip=false",
            "train.alternate=false",
        ),
    }
    return load_config(configs / name, (*changes, *more[kind], "reference={axes: 4}"))


@pytest.fixture(
    scope="module",
    params=[("density", 1), ("pooled", 3)],
    ids=lambda value: "-".join(map(str, value)),
)
def four(request, configs, tmp_path_factory):
    """A model of four classes as it is loaded from its folder, and the data that made it."""
    kind, channels = request.param
    config = configured(configs, kind, channels)
    parts = (images(count, channels, seed) for seed, count in ((1, 160), (2, 60), (3, 40)))
    data = LabelledImages(*parts)
    folder = tmp_path_factory.mktemp(kind) / "model"
    with pytest.MonkeyPatch.context() as patch:  # there is no folder that says where it came from
        patch.setattr("medinv.training.publish.source_of", lambda config: PHANTOMS)
        publish(folder, train(config, data), config, data, command="test")
    return load(folder), data


def of_class(four, label: int) -> np.ndarray:
    _, data = four
    return data.test.images[data.test.labels == label][0]


def odds(model, image: np.ndarray, towards: str, against: str) -> float:
    x = torch.from_numpy(image)[None].double()
    with torch.no_grad():
        calibrated = model.calibrated(model.logits(x))[0]
    return (calibrated[CLASSES.index(towards)] - calibrated[CLASSES.index(against)]).item()


def test_it_tells_the_classes_apart(four) -> None:
    card = four[0].card
    assert card.metrics["accuracy"].value > 0.9 and card.metrics["auc"].value > 0.95
    assert [one.name for one in card.by_class] == list(CLASSES)
    assert len(card.calibration.refits[0]) == 1 + len(CLASSES) and card.calibration.interval is None
    assert 0 <= card.scope.flagged_in_scope.value < 0.2
    assert card.scope.flagged_foreign["uniform noise"].value > 0.9


@pytest.mark.parametrize("label", range(len(CLASSES)))
def test_evidence_is_of_the_class_called_against_the_next_and_sums_to_the_log_odds(
    four, label
) -> None:
    model, image = four[0], of_class(four, label)
    told = explain(model, image, detail="full")
    probabilities = told.prediction.probabilities
    ranked = sorted(probabilities, key=lambda name: -probabilities[name])
    assert [told.towards, told.against] == ranked[:2] and told.prediction.label == ranked[0]
    assert told.evidence.logit == pytest.approx(odds(model, image, *ranked[:2]), abs=1e-9)
    assert told.evidence.logit > 0 and told.evidence.residual < 1e-8
    assert told.evidence.contributions.shape == SIZE
    assert told.local_evidence.residual < 1e-8
    ground = model.reference.grounds(CLASSES.index(told.against))
    assert set(told.local_evidence.depths) == set(ground)
    for one in (*told.layer_evidence, told.likelihood_ratio):
        assert one.residual < 1e-8, one.name
    assert told.trace.exact and told.reconstruction.exact
    in_image, in_features = told.robustness.distances
    assert in_image.flipped and in_features.affine_rms > 0
    if (
        model.image_shape[0] == 1
    ):  # the density: a trunk that widens projects features that no image has
        assert in_features.flipped
    scalars(told)
    shape = (*SIZE, 3) if model.image_shape[0] == 3 else SIZE
    assert arrays(told)["counterfactual"].shape == arrays(told)["reconstruction"].shape == shape


def test_a_named_class_is_what_evidence_and_counterfactual_are_held_against(four) -> None:
    model, image = four[0], of_class(four, 3)
    for target in CLASSES[:3]:
        told = explain(model, image, target=target)
        assert (told.towards, told.against) == ("both", target)
        assert told.evidence.logit == pytest.approx(odds(model, image, "both", target), abs=1e-9)
        edit = told.counterfactual
        assert edit.target == target
        stored = np.moveaxis(edit.image, -1, 0) if edit.image.ndim == 3 else edit.image[None]
        x = torch.from_numpy(stored)[None].double()
        with torch.no_grad():
            reading = model.read(x)
        assert edit.flipped == (CLASSES[int(model.called(reading.logits))] == target)
        assert edit.in_scope == bool(reading.scope <= model.scope_threshold)
        assert edit.logit == pytest.approx(odds(model, stored, "both", target), abs=1e-9)
        assert edit.target_logit < 0
        ways = {one.method: one.why for one in told.tried}
        assert "two classes" in ways["brightening"] and "two classes" in ways["inpainting"]
        assert "transport" in ways


def test_what_may_not_be_asked_is_refused_by_name(four) -> None:
    model, image = four[0], of_class(four, 1)
    called = explain(model, image).prediction.label
    for target in ("tumour", called):
        with pytest.raises(ConfigError, match=f"target: expected one of .*got '{target}'"):
            explain(model, image, target=target)


def test_evidence_lies_where_the_classes_differ(four) -> None:
    """What tells "both" from "top" is the bar below."""
    model, image = four[0], of_class(four, 3)
    told = explain(model, image, target="top")
    where = np.clip(told.local_evidence.locations, 0, None)
    assert where[8:].sum() > 2 * where[:8].sum()


def test_similar_cases_are_of_the_class_called(four) -> None:
    model, data = four
    agree = [explain(model, image, detail="report").neighbours for image in data.test.images[:4]]
    for one in agree:
        assert one.chance == pytest.approx(0.25) and one.agreement > 0.5


def test_controls_and_sham_networks_are_of_the_two_classes_asked(four) -> None:
    model, image = four[0], of_class(four, 2)
    told = explain(model, image, detail="report")
    target = told.counterfactual.target
    for control in told.sanity.changes:
        stored = control.image if control.image.ndim == 2 else np.moveaxis(control.image, -1, 0)
        stored = stored[None] if stored.ndim == 2 else stored
        assert control.logit == pytest.approx(odds(model, stored, told.towards, target), abs=1e-9)
    assert {one.name for one in told.sanity.changes} >= {"noise", "class-mean difference"}
    pair = CLASSES.index(told.towards), CLASSES.index(told.against)
    sham = asked(sham_head(model, pair), *pair)
    other = evidence(sham, torch.from_numpy(image)[None].double()).contributions
    cosines = {(one.name, one.of): one.cosine for one in told.sanity.likenesses}
    assert cosines["a head of random direction", "evidence"] == pytest.approx(
        cosine(told.evidence.contributions, other)
    )
    rows, shams = model.class_weights, sham.class_weights
    same = [torch.equal(rows[k], shams[k]) for k in range(len(CLASSES))]
    assert same == [k not in pair for k in range(len(CLASSES))]


def test_without_reference_scope_and_typical_odds_it_is_still_explained(four) -> None:
    """As the folders of earlier versions are."""
    model, image = deepcopy(four[0]), of_class(four, 1)
    model.reference = None
    model.scope_threshold.zero_()
    model.typical_odds.zero_()
    told = explain(model, image, detail="full")
    assert told.prediction.scope_score is None and told.prediction.in_scope
    assert told.local_evidence is None and told.neighbours is None
    assert told.counterfactual.target_logit < 0
