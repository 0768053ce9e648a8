"""A network that decides by the region, and one that decides by the border, are told apart."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from medinv.audit.run import Request, audit
from medinv.audit.subject import LOCAL, Subject
from medinv.config import PooledConfig, load_config
from medinv.data.sets.labelled import LabelledImages, Part
from medinv.errors import DataError
from medinv.metrics import clustered_auc, share
from medinv.models.base import Calibrated
from medinv.models.card import Card
from medinv.models.depths import mean_states, steps
from medinv.models.pooled import PooledClassifier, volume_trunk

SIDE, CLASSES = 32, ("low", "middle", "high")
REGION = np.zeros((SIDE, SIDE), bool)
REGION[10:22, 10:22] = True
BORDER = np.zeros((SIDE, SIDE), bool)
BORDER[:2] = True


def _part(count: int, classes: int, first: int) -> Part:
    """Noise whose region and whose upper border both tell the class, and a vendor that does."""
    generator = np.random.default_rng(first)
    labels = np.arange(count) % classes
    images = generator.normal(100, 10, (count, 1, SIDE, SIDE))
    for where in (REGION, BORDER):
        images[:, 0, where] += 30 * labels[:, None]
    vendors = np.where(generator.random(count) < 0.9, labels, 0).astype(str)
    return Part(
        images=images.round().clip(0, 255).astype(np.uint8),
        labels=labels.astype(np.int64),
        patients=first + np.arange(count) // 2,
        columns={"vendor": vendors, "sex": generator.choice(["F", "M"], count)},
        masks=np.tile(255 * REGION.astype(np.uint8), (count, 1, 1, 1)),
    )


def _deep(part: Part) -> Part:
    """The same images in 16 bits."""
    return replace(part, images=part.images.astype(np.uint16) * 257)


def _data(classes: int) -> LabelledImages:
    return LabelledImages(*(_part(90, classes, first) for first in (0, 1000, 2000)))


class Probe(Calibrated):
    """Calls a class by the mean grey level of some pixels, and by nothing else."""

    def __init__(
        self, where: np.ndarray, classes: tuple[str, ...], configs: Path, *, bits: int = 8
    ):
        super().__init__(classes)
        self.bits, self.unit = bits, (2**bits - 1) / 255
        self.where = torch.nn.Parameter(torch.from_numpy(where / where.sum()).float())
        config = load_config(configs / "phantom-opacity-twin.yaml")
        self.card = Card.model_construct(
            name="probe", weights_sha256="0" * 64, config=config, bits=bits
        )

    def logits(self, x: Tensor) -> Tensor:
        level = (x / self.unit * self.where).sum((1, 2, 3)) - 100
        centres = 30.0 * torch.arange(len(self.classes))
        return -((level[:, None] - centres) ** 2) / 50


def _audit(where: np.ndarray, classes: int, configs: Path, **asked: object):
    request = Request(quick=True, **asked)
    model = Probe(where, CLASSES[:classes], configs).eval()
    return audit(model, _data(classes), request)


@pytest.mark.parametrize("classes", [2, 3])
def test_what_decides_is_told(classes: int, configs: Path) -> None:
    inside, _ = _audit(REGION, classes, configs)
    around, _ = _audit(BORDER, classes, configs)
    assert inside.verdict.kind == "region" and around.verdict.kind == "surround"
    assert inside.value("region-alone.auc").value > 0.95 > inside.value("border.model").value
    assert around.value("region-blanked.auc").value > 0.95 > around.value("region-alone.auc").value
    assert inside.value("exchange.follows-region").value == 1
    assert around.value("exchange.follows-surround").value == 1
    assert inside.value("evidence.peak").value > 0.8  # hiding says nothing of a class like the mean
    assert around.value("evidence.peak").value == 0
    hidden = [inside.value(f"hidden-{side}-16").value for side in ("inside", "outside")]
    assert hidden[0] > hidden[1]


def test_who_looks_at_one_place_is_seen_to_mind_turns_and_shifts(configs: Path) -> None:
    middle, top = (_audit(where, 2, configs)[0] for where in (REGION, BORDER))
    for turn in ("quarter-left", "half", "quarter-right"):  # the region lies in the middle
        assert middle.value(f"orientation.{turn}").value == 0
        assert top.value(f"orientation.{turn}").value > 0.2
        assert top.value(f"orientation.{turn}.flagged").value == 0  # this model has no scope
    assert top.value("orientation.shift-8").value == 0  # the border lies all along the top
    assert middle.value("orientation.shift-1").value <= middle.value("orientation.shift-8").value


def test_a_border_and_a_column_that_give_the_label_away_are_said(configs: Path) -> None:
    found, _ = _audit(REGION, 2, configs)
    assert found.value("border.linear").value > 0.95
    assert found.value("column.vendor").value > 0.8 > 0.7 > found.value("column.sex").value
    said = " ".join(found.verdict.cautions)
    assert "vendor" in said and "border" in said and "sex" not in said
    values = {(one.column, one.value) for one in found.subgroups}
    assert {("sex", "F"), ("sex", "M"), ("vendor", "1")} <= values


def test_without_a_region_nothing_is_claimed(configs: Path) -> None:
    found, shown = _audit(REGION, 2, configs, region="none")
    assert found.verdict.kind == "not-shown" and not found.region.name
    assert found.value("border.model").value < 0.7
    assert [one.name for one in shown[0].shown] == ["as it is", "border alone"]


def test_images_of_16_bits_are_changed_as_those_of_8(configs: Path) -> None:
    plain, shown = _audit(REGION, 2, configs)
    data = LabelledImages(*map(_deep, vars(_data(2)).values()))
    model = Probe(REGION, CLASSES[:2], configs, bits=16).eval()
    deep, other = audit(model, data, Request(quick=True))
    for key in ("whole.auc", "region-alone.auc", "border.linear", "hidden-inside-16"):
        assert deep.value(key).value == pytest.approx(plain.value(key).value, abs=0.02), key
    for one in plain.figures:
        if one.key.startswith("change."):  # a share of images: of 90 at most one is another
            assert deep.value(one.key).value == pytest.approx(one.estimate.value, abs=0.02)
    assert np.array_equal(shown[0].shown[0].image, other[0].shown[0].image)


def test_the_same_request_gives_the_same_figures(configs: Path) -> None:
    first, second = (_audit(BORDER, 2, configs, seed=3)[0] for _ in range(2))
    assert first.figures == second.figures and first.verdict == second.verdict
    assert first.model_dump(by_alias=True)["schema"] == "medinv-audit-1"


def test_a_region_that_is_not_there_is_refused_by_name(configs: Path) -> None:
    with pytest.raises(DataError, match="region lungs"):
        _audit(REGION, 2, configs, region="lungs")


def test_intervals_draw_patients(configs: Path) -> None:
    labels, scores = np.tile([0, 1], 40), np.random.default_rng(0).normal(size=80)
    scores[labels == 1] += 1
    alone = clustered_auc(labels, scores, np.arange(80))
    few = clustered_auc(labels, scores, np.arange(80) // 20)
    repeated = np.repeat(np.arange(80), 9)
    copied = clustered_auc(labels[repeated], scores[repeated], repeated)
    assert copied.value == pytest.approx(alone.value)
    assert copied.high - copied.low == pytest.approx(alone.high - alone.low)
    assert few.n == 80 and few.value == alone.value
    assert share(labels == 1, np.arange(80) // 40).high > share(labels == 1, np.arange(80)).high


def test_evidence_is_mapped_of_volumes_too() -> None:
    kind = PooledConfig(axes=3, depths=(1,), hidden=(8,), classes=CLASSES[:2], mean=100, std=50)
    model = PooledClassifier(volume_trunk(kind), (1, 4, 8, 8), 8, kind.classes).eval()
    model.card = Card.model_construct(bits=8)
    images = 255 * torch.rand(3, 1, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    names = tuple(step.name for step in steps(model.trunk))[1:2]
    subject = Subject(model, None, mean_states(model.trunk, [images], names))
    maps = subject.maps(images, np.array([1, 0, 1]), images[0])
    assert subject.evidence_by == LOCAL and maps.shape == (3, 4, 8, 8) and maps.any()
    assert np.allclose(subject.maps(images, np.array([0, 1, 0]), images[0]), -maps)
