"""Every example in the docstrings of the package says what comes out."""

import doctest
import importlib
import pkgutil

import numpy as np
import pytest
import torch

import medinv

NAMES = [found.name for found in pkgutil.walk_packages(medinv.__path__, "medinv.")]
MODULES = [name for name in NAMES if not name.endswith("__main__")]
GIVEN = {"torch": torch, "np": np}  # what an example need not import


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_a_module_run(name: str) -> None:
    torch.manual_seed(0)
    assert doctest.testmod(importlib.import_module(name), extraglobs=GIVEN).failed == 0


def test_layers_and_explanations_show_examples() -> None:
    finder = doctest.DocTestFinder(exclude_empty=True)
    for room in ("layers", "explanation"):
        modules = [importlib.import_module(n) for n in MODULES if n.startswith(f"medinv.{room}")]
        examples = [t for module in modules for t in finder.find(module) if t.examples]
        assert len(examples) >= 5, room
