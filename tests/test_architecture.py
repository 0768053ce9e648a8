"""The house: imports point down, the ground floor is light, files stay small."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "medinv"
SOURCES = sorted(
    path for path in PACKAGE.rglob("*.py") if path.name != "__init__.py" or path.parent != PACKAGE
)


def test_imports_point_down() -> None:
    """The contracts of pyproject.toml, by import-linter, which sees every form of import."""
    run = [sys.executable, "-c", "from importlinter.cli import lint_imports_command as c; c()"]
    made = subprocess.run(run, cwd=PACKAGE.parent, capture_output=True, text=True)
    assert made.returncode == 0, made.stdout


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_files_stay_readable(path) -> None:
    assert len(path.read_text().splitlines()) <= 400


def test_help_brings_no_heavy_library() -> None:
    code = "import sys, medinv, medinv.cli.main; print([m for m in ('torch', 'monai', 'matplotlib', 'pydicom', 'sklearn') if m in sys.modules])"
    assert (
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        ).stdout.strip()
        == "[]"
    )


def test_no_assert_on_input_in_the_package() -> None:
    for path in SOURCES:
        assert not [
            node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Assert)
        ], path
