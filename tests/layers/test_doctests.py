"""Every example in the docstrings of the layers runs."""

import doctest
import importlib
import pkgutil

import pytest
import torch

import medinv.layers

MODULES = [m.name for m in pkgutil.walk_packages(medinv.layers.__path__, "medinv.layers.")] + [
    "medinv.layers"
]


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_a_module_run(name) -> None:
    torch.manual_seed(0)
    module = importlib.import_module(name)
    found = doctest.testmod(module, extraglobs={"torch": torch})
    assert not found.failed
