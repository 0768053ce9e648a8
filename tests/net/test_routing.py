"""Where a result goes, by rules that an administrator wrote."""

import json
from pathlib import Path

import pytest

from medinv.analysis.result import OUT_OF_SCOPE, Failure, ModelUsed, StudyResult
from medinv.errors import ConfigError
from medinv.net.routing import FILE, load_routes, routed
from medinv.net.settings import DicomPeer, Network

NETWORK = Network(
    peers={
        name: DicomPeer(ae_title=name.upper(), address="127.0.0.1", port=104)
        for name in ("pacs", "urgent", "research")
    }
)
RULES = """
routes:
  - when: {model: chest, probability: {pneumonia: [0.8, 1]}}
    send_to: [urgent, pacs]
    tag: [read-first]
  - when: {label: pneumonia}
    send_to: [pacs]
  - when: {scope: [out, failed]}
    tag: look-at-it
otherwise: {send_to: [research]}
"""


def _result(label: str | None, probability: float | None = None, **more: object) -> StudyResult:
    given = {
        "study_uid": "study-1",
        "status": "ok",
        "error": None,
        "label": label,
        "probabilities": probability
        if probability is None
        else {"normal": 1 - probability, "pneumonia": probability},
        "rule": "",
        "aggregation": "",
        "model": ModelUsed(name="chest", sha256=""),
        "seconds": 0.0,
        "dicom": ("reports/sr.dcm",),
    }
    return StudyResult.model_validate({**given, **more})


def _failed() -> StudyResult:
    why = Failure(stage="read", code="data", message="")
    return _result(None, status="failed", error=why, dicom=())


@pytest.fixture
def rules(tmp_path):
    def load(text: str = RULES):
        (tmp_path / "routes.yaml").write_text(text)
        return load_routes(tmp_path / "routes.yaml", NETWORK)

    return load


@pytest.mark.parametrize(
    ("result", "peers", "tags"),
    [
        (_result("pneumonia", 0.8), ("urgent", "pacs"), ("read-first",)),
        (_result("pneumonia", 0.79), ("pacs",), ()),
        (_result("normal", 0.1), ("research",), ()),
        (_result(OUT_OF_SCOPE, 0.99), (), ("look-at-it",)),
        (_failed(), (), ("look-at-it",)),
        (
            _result("pneumonia", 0.9, model=ModelUsed(name="other", sha256="")),
            ("pacs",),
            (),
        ),
    ],
)
def test_every_rule_that_fits_counts(rules, result, peers, tags):
    goes = rules().of(result)
    assert (goes.send_to, goes.tag) == (peers, tags)


def test_files_are_told_by_peer_and_tags_stand_beside_the_results(rules, tmp_path):
    results = [_result("pneumonia", 0.9), _failed()]
    sent = routed(rules(), results, tmp_path)
    assert sent == {name: [tmp_path / "reports/sr.dcm"] for name in ("urgent", "pacs")}
    said = json.loads((tmp_path / FILE).read_text())
    assert [one["tag"] for one in said] == [["read-first"], ["look-at-it"]]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("routes: [{send_to: [nobody]}]", "nobody"),
        ("routes: [{when: {probability: {a: [0, 2]}}}]", "probability"),
        ("routes: [{when: {colour: red}}]", "colour"),
        ("routes: [{tag: ['a b']}]", "tag"),
        ("{", "YAML"),
    ],
)
def test_a_rule_that_cannot_be_used_is_named(rules, text, says):
    with pytest.raises(ConfigError, match=says):
        rules(text)


def test_the_rules_that_come_with_the_project_fit_its_network_file():
    from medinv.net.settings import load_network

    configs = Path(__file__).parents[2] / "configs"
    load_routes(configs / "routes.yaml", load_network(configs / "network.yaml"))
