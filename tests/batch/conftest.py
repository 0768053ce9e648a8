"""Twenty small studies."""

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def twenty(write_film, tmp_path_factory) -> Path:
    """A folder of twenty studies of one film."""
    folder = tmp_path_factory.mktemp("twenty")
    for study in range(1, 21):
        write_film(folder / f"{study}.dcm", study)
    return folder
