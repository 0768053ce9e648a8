"""The house: imports point down, the ground floor is light, files stay small."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "medinv"
# What each room may import of medinv, itself and `errors` apart.
ALLOWED = {
    "errors": set(),
    "config": set(),
    "layers": set(),
    "muon": set(),
    "evaluate": set(),
    "models": {"config", "layers"},
    "data": {"config", "layers"},
    "train": {"config", "data", "evaluate", "models", "muon"},
    "calibrate": {"data", "evaluate", "models"},
    "publish": {"calibrate", "config", "data", "models", "layers", "evaluate", "train"},
    "explain": {"layers", "models"},
    "report": {"explain"},
    "batch": {"data", "models", "layers", "explain", "report"},
    "net": {"batch", "data", "models"},
    "cli": {
        "config",
        "data",
        "models",
        "layers",
        "evaluate",
        "train",
        "publish",
        "explain",
        "report",
        "batch",
        "net",
    },
}


def _room(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def _imported(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("medinv."):
            names.add(node.module.split(".")[1])
        elif isinstance(node, ast.Import):
            names |= {
                alias.name.split(".")[1] for alias in node.names if alias.name.startswith("medinv.")
            }
    return names


SOURCES = sorted(
    path for path in PACKAGE.rglob("*.py") if path.name != "__init__.py" or path.parent != PACKAGE
)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_down(path) -> None:
    room = _room(path)
    assert _imported(path) - {room, "errors"} <= ALLOWED[room]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_files_stay_readable(path) -> None:
    assert len(path.read_text().splitlines()) <= 400


def test_the_data_room_needs_no_model_and_layers_no_medicine() -> None:
    for path in SOURCES:
        text = path.read_text()
        if _room(path) == "layers":
            assert "pydicom" not in text and "monai" not in text
        if _room(path) in ("layers", "models", "explain"):
            assert "MetaTensor" not in text


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
