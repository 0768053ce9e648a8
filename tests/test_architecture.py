"""The house: imports point down, the ground floor is light, files stay small."""

import ast
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "medinv"
SOURCES = sorted(
    path for path in PACKAGE.rglob("*.py") if path.name != "__init__.py" or path.parent != PACKAGE
)


def _contracts(root: Path) -> subprocess.CompletedProcess[str]:
    """import-linter over the package in `root`, by the contracts of its pyproject.toml."""
    run = [sys.executable, "-c", "from importlinter.cli import lint_imports_command as c; c()"]
    path = {**os.environ, "PYTHONPATH": str(root)}
    return subprocess.run(run, cwd=root, capture_output=True, text=True, env=path)


def test_imports_point_down() -> None:
    made = _contracts(PACKAGE.parent)
    assert made.returncode == 0, made.stdout


@pytest.mark.parametrize(
    "planted", ["from medinv import cli", "import medinv.report.html", "from ..batch import run"]
)
def test_an_import_that_points_up_is_seen_in_every_form(planted: str, tmp_path: Path) -> None:
    shutil.copytree(
        PACKAGE, tmp_path / "medinv", ignore=shutil.ignore_patterns("shipped", "__pycache__")
    )
    shutil.copy(PACKAGE.parent / "pyproject.toml", tmp_path)
    layer = tmp_path / "medinv" / "layers" / "base.py"
    layer.write_text(layer.read_text() + f"\n\ndef planted():\n    {planted}\n")
    made = _contracts(tmp_path)
    assert made.returncode == 1 and "medinv.layers" in made.stdout, made.stdout


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_files_stay_readable(path) -> None:
    assert len(path.read_text().splitlines()) <= 400


def test_help_brings_no_heavy_library() -> None:
    heavy = ("torch", "monai", "matplotlib", "pydicom", "sklearn")
    code = (
        "import sys, medinv, medinv.cli.main; "
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_no_assert_on_input_in_the_package() -> None:
    for path in SOURCES:
        assert not [
            node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Assert)
        ], path


def _cut_docstrings(source: str) -> list[str]:
    """First paragraphs that stop in mid-sentence, of every docstring in a module's source."""
    named = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    nodes = [node for node in ast.walk(ast.parse(source)) if isinstance(node, named)]
    cut = []
    for text in filter(None, map(ast.get_docstring, nodes)):
        first, *rest = (" ".join(part.split()) for part in text.split("\n\n"))
        # Intervals such as (0, 1] open with one bracket and close with another.
        unclosed = len(re.findall(r"[(\[]", first)) != len(re.findall(r"[)\]]", first))
        unstopped = not re.search(r"[.:?!]$", first)
        doubled = re.search(r"[\w)]\.\.(?![\w.])", text)
        fragment = rest and re.match(r"(And|Or|So|Which|Whose) ", rest[0])
        if unclosed or unstopped or doubled or fragment:
            cut.append(first)
    return cut


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_docstrings_begin_with_a_whole_sentence(path: Path) -> None:
    assert _cut_docstrings(path.read_text()) == []


@pytest.mark.parametrize(
    "planted",
    [
        "A bootstrap of patients (Efron and Tib\n\nshirani 1993).",
        "Mean over bins (Naeini et al..\n\nAAAI 2015).",
        "A mean over the bins of (Naeini et al., AAAI 2015)..",
        "Bounds of the log-odds",
        "The threshold.\n\nAnd what it gave on test images.",
    ],
)
def test_a_docstring_cut_in_mid_sentence_is_seen(planted: str) -> None:
    assert len(_cut_docstrings(f'"""Whole."""\n\ndef f():\n    """{planted}"""\n')) == 1


def test_ranges_intervals_and_usage_are_no_cuts() -> None:
    whole = (
        "Slope in (0, 1], grey levels 0..255 of `start ..  end`, 1, 2, ... n:\n\n    python run.py"
    )
    assert _cut_docstrings(f'"""{whole}"""\n') == []
