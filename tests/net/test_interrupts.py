"""Ctrl-C once and twice, on the commands as they run: an exit code and a line, no traceback."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from archives import eventually, free_port
from pynetdicom import AE
from pynetdicom.sop_class import Verification


@pytest.fixture
def silent() -> Iterator[socket.socket]:
    """A peer that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(300)
        yield server


class Command:
    """`medinv ...` as a process group of its own, as a terminal would start it."""

    def __init__(self, folder: Path, *words: object):
        self.said = folder / "said"
        command = [sys.executable, "-u", "-c", "from medinv.cli.main import main; main()", *words]
        with self.said.open("w") as said:
            self.process = subprocess.Popen(
                [str(word) for word in command],
                stdout=said,
                stderr=said,
                start_new_session=True,
                env={**os.environ, "OMP_NUM_THREADS": "1"},
            )

    def interrupt(self, times: int) -> int:
        """Press Ctrl-C so many times; returns the exit code as a shell sees it.

        Python lets go of its handlers at the very end; a signal then ends it as any program.
        """
        for _ in range(times):
            if self.process.poll() is None:
                os.killpg(self.process.pid, signal.SIGINT)
            time.sleep(0.3)
        code = self.process.wait(60)
        return 128 + signal.SIGINT if code == -signal.SIGINT else code

    def text(self) -> str:
        return self.said.read_text()


@pytest.fixture
def run(tmp_path: Path) -> Iterator[object]:
    """Starts a command; it is killed at the end."""
    started: list[Command] = []

    def start(*words: object) -> Command:
        started.append(Command(tmp_path, *words))
        return started[-1]

    yield start
    for command in started:
        command.process.kill()
        command.process.wait(30)


@pytest.mark.parametrize("times", [1, 2, 3])
@pytest.mark.parametrize("way", ["dicom", "web"])
def test_send_ends_while_its_peer_is_silent(
    run: object, silent: socket.socket, samples: Path, way: str, times: int
) -> None:
    port = silent.getsockname()[1]
    peer = f"PACS@127.0.0.1:{port}" if way == "dicom" else f"http://127.0.0.1:{port}"
    command = run("send", samples / "studies" / "study-08", "--to", peer)
    with silent.accept()[0]:
        assert command.interrupt(times) == 130
    assert "interrupted" in command.text() and "Traceback" not in command.text()


@pytest.mark.parametrize("times", [1, 2])
def test_retrieve_ends_while_its_peer_is_silent(
    run: object, silent: socket.socket, tmp_path: Path, times: int
) -> None:
    peer = f"PACS@127.0.0.1:{silent.getsockname()[1]}"
    command = run("retrieve", peer, "--find", "StudyDate=20200101", "--out", tmp_path / "out")
    with silent.accept()[0]:
        assert command.interrupt(times) == 130
    assert "interrupted" in command.text() and "Traceback" not in command.text()


@pytest.mark.parametrize("times", [1, 2])
def test_receive_ends_while_a_caller_is_connected(run: object, tmp_path: Path, times: int) -> None:
    port = free_port()
    network = tmp_path / "network.yaml"
    callers = [{"ae_title": "SCANNER", "address": "127.0.0.1"}]
    network.write_text(yaml.safe_dump({"port": port, "callers": callers}))
    words = ("--model", "phantom-opacity", "--folder", tmp_path / "in")
    command = run("receive", "--network", network, *words)
    eventually(lambda: "listens" in command.text() or command.process.poll() is not None, 500)
    ae = AE("SCANNER")
    ae.add_requested_context(Verification)
    association = ae.associate("127.0.0.1", port, ae_title="MEDINV")
    assert association.is_established
    try:
        assert command.interrupt(times) in ((0,) if times == 1 else (0, 130))
    finally:
        association.abort()
    assert "ends after the study it is at" in command.text()
    assert "Traceback" not in command.text()
