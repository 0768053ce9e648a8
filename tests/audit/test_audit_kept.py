"""An audit belongs to a model: its card quotes it, and of other weights none is kept."""

import json
import shutil
from pathlib import Path

import pytest

from medinv.audit.result import Figure, RegionUsed
from medinv.audit.verdict import judge
from medinv.config import load_config
from medinv.errors import IntegrityError
from medinv.metrics import Estimate
from medinv.models.audited import NOT_AUDITED, Audited
from medinv.models.store import keep_audit, keep_texts, load, locate, read_card
from medinv.report.strings import card_facts, looks_at


def _audited(weights: str) -> Audited:
    return Audited(
        kind="both",
        sentence="Decides by the lungs and by what surrounds the lungs.",
        cautions=("Upside down: 93 % get a label all the same.",),
        region="lungs",
        figures={"whole.auc": Estimate(value=0.9, low=0.8, high=1, n=10)},
        data_sha256="0" * 64,
        part="test",
        images=10,
        patients=9,
        quick=True,
        seed=0,
        weights_sha256=weights,
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(locate("phantom-opacity"), tmp_path / "model"))


def test_a_card_quotes_the_audit_of_its_weights(folder: Path) -> None:
    before = read_card(folder).model_copy(update={"audit": None})
    assert looks_at(before) == NOT_AUDITED
    kept = keep_audit(folder, _audited(before.weights_sha256))
    assert read_card(folder) == kept and load(folder).card.audit == kept.audit
    assert kept.model_copy(update={"audit": None}) == before
    facts = dict(card_facts(kept, {}))
    assert facts["What it looks at"].startswith("Decides by the lungs and")
    assert facts["Audited"] == "10 test images of 9 patients, quickly"
    assert facts["Know before you trust it"] == kept.audit.cautions


def test_an_audit_of_other_weights_is_refused(folder: Path) -> None:
    with pytest.raises(IntegrityError, match="other weights"):
        keep_audit(folder, _audited("f" * 64))
    path = folder / "card.json"
    tree = json.loads(path.read_text())
    path.write_text(json.dumps({**tree, "audit": _audited("f" * 64).model_dump()}))
    with pytest.raises(IntegrityError):
        read_card(folder)


def _figures(alone: tuple, blanked: tuple, follows: tuple, strays: tuple) -> list[Figure]:
    keys = ("whole.auc", "region-alone.auc", "region-blanked.auc")
    keys += ("exchange.follows-region", "exchange.follows-surround")
    values = ((0.99, 0.98, 1.0), alone, blanked, follows, strays)
    return [
        Figure(key=key, group="", name=key, estimate=Estimate(value=v, low=lo, high=hi, n=100))
        for key, (v, lo, hi) in zip(keys, values, strict=True)
    ]


@pytest.mark.parametrize(
    ("kind", "alone", "blanked", "follows", "strays"),
    [
        ("region", (0.98, 0.97, 0.99), (0.55, 0.5, 0.6), (0.97, 0.9, 1), (0.03, 0, 0.1)),
        # The same values with wider intervals are no proof.
        ("mostly-region", (0.98, 0.9, 0.99), (0.6, 0.5, 0.7), (0.9, 0.7, 1), (0.1, 0, 0.3)),
        ("both", (0.9, 0.88, 0.92), (0.9, 0.88, 0.92), (0.5, 0.4, 0.6), (0.5, 0.4, 0.6)),
        ("surround", (0.8, 0.77, 0.83), (0.95, 0.93, 0.97), (0.5, 0.4, 0.6), (0.5, 0.4, 0.6)),
        ("surround", (0.95, 0.9, 1), (0.95, 0.9, 1), (0.2, 0.1, 0.3), (0.8, 0.7, 0.9)),
    ],
)
def test_a_verdict_is_never_better_than_its_intervals(
    kind: str, alone: tuple, blanked: tuple, follows: tuple, strays: tuple
) -> None:
    region = RegionUsed(name="lungs", origin="", area=0.3)
    told = judge(_figures(alone, blanked, follows, strays), (), region)
    assert told.kind == kind
    assert f"AUC {alone[0]:.2f} with the lungs alone" in told.sentence


def test_texts_of_a_configuration_reach_the_card_and_nothing_measured_changes(
    folder: Path, configs: Path
) -> None:
    texts = load_config(configs / "chest-xray.yaml").card
    before, after = read_card(folder), keep_texts(folder, texts)
    assert read_card(folder) == after and after.rules.selection.age == (1, 6)
    assert after.limits == texts.limits and after.rules.body_parts == texts.body_parts
    assert (after.metrics, after.weights_sha256) == (before.metrics, before.weights_sha256)
    assert after.scope.threshold == before.scope.threshold
    assert load(folder).card.title == texts.title
