"""The commands of README's "Your own images" are run as they stand there, on generated studies."""

import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from medinv.cli.main import app

README = Path(__file__).parents[1] / "README.md"
FASTER = {"train": ["--set", "train.epochs=2"], "audit": ["--quick"]}


def commands() -> list[list[str]]:
    """The lines of the block, without their comments."""
    section = README.read_text().partition("## Your own images")[2]
    (block,) = re.findall(r"```sh\n(.*?)```", section.partition("\n## ")[0], re.DOTALL)
    return [shlex.split(line, comments=True) for line in block.splitlines() if line.strip()]


def test_from_studies_and_labels_to_a_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    lines = commands()
    assert [line[0] for line in lines] == ["medinv"] * len(lines) and len(lines) <= 6
    for _, name, *arguments in lines:
        made = CliRunner().invoke(app, [name, *arguments, *FASTER.get(name, [])])
        assert made.exit_code == 0, f"{name}: {made.output}"
    model = tmp_path / "model"
    assert {"card.json", "weights.safetensors", "cases.safetensors"} <= {
        path.name for path in model.iterdir()
    }
    pages = list((tmp_path / "results" / "reports").rglob("*.html"))
    assert pages and "not for diagnosis" in pages[0].read_text()
