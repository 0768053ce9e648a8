"""Fixtures that all rooms share."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of third-party data that MEDINV_DATA names; tests that need it are skipped without it."""
    value = os.environ.get("MEDINV_DATA")
    if not value:
        pytest.skip("MEDINV_DATA is not set: it names the folder of the development data")
    if not Path(value).is_dir():
        pytest.skip("MEDINV_DATA names no folder")
    return Path(value)
