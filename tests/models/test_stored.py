"""What a card says of changes of stored features."""

import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from medinv.cli.main import app
from medinv.errors import IntegrityError
from medinv.models.store import keep_robustness, load_invertible, locate, read_card
from medinv.models.stored import NOT_MEASURED, Robustness
from pipelines.seeds.firenet.robustness import measured


def _copy(to: Path) -> Path:
    return Path(shutil.copytree(locate("phantom-opacity"), to / "model"))


def test_measured_kept_and_shown(tmp_path: Path) -> None:
    folder = _copy(tmp_path)
    found = measured(load_invertible(folder), count=1, steps=1)
    assert 0 < found.random <= found.sought
    assert 0 < found.half_level < 1
    assert keep_robustness(folder, found).robustness == found
    assert read_card(folder).robustness == found
    shown = CliRunner().invoke(app, ["models", str(folder)]).output
    assert found.sentence[:40] in " ".join(shown.split())
    assert NOT_MEASURED[:30] not in " ".join(shown.split())


def test_of_other_weights_it_is_refused(tmp_path: Path) -> None:
    folder = _copy(tmp_path)
    other = Robustness(
        change=0.01, random=0.1, sought=1.0, half_level=1e-3, images=1, steps=1,
        weights_sha256="f" * 64,
    )  # fmt: skip
    with pytest.raises(IntegrityError, match="robustness was measured with other weights"):
        keep_robustness(folder, other)


def test_the_line_says_both_movements_and_how_they_were_found() -> None:
    one = Robustness(
        change=0.01, random=0.018, sought=2e8, half_level=2e-4, images=5, steps=15,
        weights_sha256="",
    )  # fmt: skip
    for told in ("1%", "1.8%", "2e+08 times", "5 images", "2e-04"):
        assert told in one.sentence
