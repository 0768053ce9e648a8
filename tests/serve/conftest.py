"""A server of the tiny model in this process."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from asking import Client

pytest.importorskip("starlette", reason="the extra serve is not installed")
pytest.importorskip("uvicorn", reason="the extra serve is not installed")

from medinv.batch.options import Options
from medinv.models.store import load_invertible
from medinv.serve.server import Server
from medinv.serve.uploads import Limits


@pytest.fixture(scope="session")
def serving(tiny_folder: Path) -> Any:
    """Starts a server in a folder: a context manager."""
    model = load_invertible(tiny_folder)

    @contextmanager
    def start(out: Path, limits: Limits | None = None) -> Iterator[Server]:
        server = Server([model], Options(out, readers=1), limits=limits)
        thread = threading.Thread(target=server.run)
        thread.start()
        try:
            yield server
        finally:
            server.stop()
            thread.join(120)

    return start


@pytest.fixture(scope="module")
def server(serving: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One for the tests of a file."""
    with serving(tmp_path_factory.mktemp("served") / "out") as started:
        yield started


@pytest.fixture
def client(server: Server) -> Client:
    """What asks it."""
    return Client(server.address)
