"""The comparison of ways to keep a convolution well conditioned runs from data to table."""

import json
import runpy
import sys
from pathlib import Path

import numpy as np

SCRIPT = Path(__file__).parents[2] / "pipelines" / "layers" / "conditioning.py"


def test_the_table_has_every_method_and_the_limit_holds(tmp_path, monkeypatch, capsys) -> None:
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (80, 112, 112), dtype=np.uint8)
    np.savez(
        tmp_path / "kermany_cxr_112.npz",
        x=images,
        y=generator.integers(0, 2, 80),
        split=np.arange(80) % 3,
    )
    monkeypatch.setattr(
        sys,
        "argv",
        [
            str(SCRIPT),
            "--data",
            str(tmp_path),
            "--out",
            str(tmp_path / "out"),
            "--steps",
            "3",
            "--seeds",
            "1",
        ],
    )
    runpy.run_path(str(SCRIPT), run_name="__main__")
    table = json.loads((tmp_path / "out" / "conditioning.json").read_text())
    assert set(table["rows"]) == {
        "nothing",
        "penalty",
        "clipping",
        "exponential",
        "bound_condition",
    }
    assert (
        table["rows"]["bound_condition"]["condition"] < 1.06 * table["limit"]
        and "bound_condition" in capsys.readouterr().out
    )
