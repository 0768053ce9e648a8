"""The shipped models say of the sample studies what they said before."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.golden.condense import FOLDER, MODELS, condensed, run

TOLERANCE = 1e-3  # relative: another machine's arithmetic, amplified by decoding


@pytest.fixture(scope="module")
def golden_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results folder of all sample studies by all models."""
    out = tmp_path_factory.mktemp("golden") / "out"
    run(out)
    return out


def differences(before: Any, now: Any, where: str = "") -> list[str]:
    """Places where two trees differ by more than the tolerance."""
    if isinstance(before, dict) and isinstance(now, dict):
        keys = [*before, *(key for key in now if key not in before)]
        absent = [f"{where}/{key}: only {'before' if key in before else 'now'}"
                  for key in keys if (key in before) != (key in now)]  # fmt: skip
        shared = [key for key in before if key in now]
        return absent + [d for k in shared for d in differences(before[k], now[k], f"{where}/{k}")]
    if isinstance(before, list) and isinstance(now, list) and len(before) == len(now):
        pairs = enumerate(zip(before, now, strict=True))
        return [d for i, (a, b) in pairs for d in differences(a, b, f"{where}/{i}")]
    if isinstance(before, float) and isinstance(now, float | int):
        return (
            []
            if now == pytest.approx(before, rel=TOLERANCE, abs=1e-4)
            else [_said(where, before, now)]
        )
    return [] if before == now else [_said(where, before, now)]


def _said(where: str, before: Any, now: Any) -> str:
    return f"{where}: was {str(before)[:80]!r}, is {str(now)[:80]!r}"


@pytest.mark.parametrize("model", MODELS)
def test_sample_studies_get_the_results_they_had(golden_run: Path, model: str) -> None:
    before = json.loads((FOLDER / f"{model}.json").read_text())
    found = differences(before, json.loads(json.dumps(condensed(golden_run, model))))
    assert not found, "\n".join(found[:40])
