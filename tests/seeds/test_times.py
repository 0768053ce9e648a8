"""Time to accuracy is read off a record as its words say."""

from pathlib import Path

import pytest
import torch

from pipelines.shipped import times
from pipelines.shipped.times import Passed, Record, kept, row

HALF = Passed(part=1, seconds=30, auc=None, accuracy=None)


def _record(*accuracies: float | None, clock: str = "wall") -> Record:
    return Record(
        clock=clock,
        epochs=tuple(Passed(part=1, seconds=60, auc=0.9, accuracy=one) for one in accuracies),
    )


def test_a_figure_is_reached_where_it_stays_reached() -> None:
    record = _record(0.70, 0.90, 0.80, 0.89, 0.90)
    assert record.reached(0.89) == 4 * 60  # the second epoch had it, the third not
    assert record.reached(0.60) == 60
    assert record.reached(0.90) == record.seconds


def test_epochs_without_a_figure_take_time_and_say_nothing() -> None:
    record = Record(clock="wall", epochs=(HALF, HALF, *_record(0.9, 0.9).epochs))
    assert record.reached(0.8) == 2 * 30 + 60
    assert Record(clock="wall", epochs=(HALF,)).last.accuracy is None
    assert row("x", Record(clock="wall", epochs=(HALF,)), None)[4:] == ["-"] * 4


def test_a_line_says_minutes_and_what_its_record_is() -> None:
    found = row("x", _record(0.5, 0.86, 0.895, 0.90, 0.90), 300.0)
    assert found == ["x", "5 epochs", "wall", "5.0", "0.900 (0.900)", "2.0", "3.0", "40%"]
    assert "earlier weights" in row("x", _record(0.5, 0.9), 300.0)[1]
    assert "earlier weights" not in row("x", _record(0.5, 0.9, clock="processor"), 300.0)[1]
    assert row("x", None, 90.0)[1:4] == ["card alone", "wall", "1.5"]


def test_parts_are_kept_in_their_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(times, "KEPT", tmp_path)
    epochs = [{"seconds": 10.0, "validation": 0.9, "validation_accuracy": 0.8}]
    torch.save({"epochs": [{"seconds": 5.0, "validation": None}]}, tmp_path / "first.pt")
    torch.save({"position": {"epochs": epochs * 2}}, tmp_path / "second.pt")
    kept("model", [tmp_path / "first.pt", tmp_path / "second.pt"])
    found = Record.model_validate_json((tmp_path / "model.json").read_text())
    assert [each.part for each in found.epochs] == [1, 2, 2]
    assert found.seconds == 25 and found.is_of(20) and not found.is_of(25)
    assert found.epochs[0].accuracy is None and found.last.accuracy == 0.8
