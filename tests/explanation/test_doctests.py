"""The examples in the docstrings of this room say what comes out."""

import doctest
import importlib
import pkgutil

import pytest

from medinv import explanation

MODULES = [one.name for one in pkgutil.walk_packages(explanation.__path__, "medinv.explanation.")]
WITH_EXAMPLES = {"affine", "cycle_spinning", "evidence", "result", "sanity"}


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_run(name: str) -> None:
    found = doctest.testmod(importlib.import_module(name))
    assert found.failed == 0
    assert bool(found.attempted) == (name.rpartition(".")[2] in WITH_EXAMPLES)
