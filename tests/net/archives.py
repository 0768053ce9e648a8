"""A real archive and real senders on this machine's loopback, on ports that are free.

Tests that need them are skipped where they are not installed.
"""

import json
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from medinv.net.settings import Caller, DicomPeer, Network, WebPeer

PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
ORTHANC = shutil.which("Orthanc")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@dataclass(frozen=True)
class Archive:
    """An Orthanc that knows medinv as MEDINV at `medinv_port`."""

    http_port: int
    dicom_port: int
    medinv_port: int

    @property
    def network(self) -> Network:
        """The network file of a medinv beside it."""
        return Network(
            port=self.medinv_port,
            callers=(
                Caller(ae_title="ORTHANC", address="127.0.0.1"),
                Caller(ae_title="SCANNER", address="127.0.0.1"),
            ),
            peers={
                "pacs": DicomPeer(ae_title="ORTHANC", address="127.0.0.1", port=self.dicom_port),
                "web": WebPeer(url=f"http://127.0.0.1:{self.http_port}/dicom-web"),
            },
            answer_to="pacs",
            quiet_seconds=1.0,
            tries=2,
        )

    def get(self, path: str) -> Any:
        return self._call(path)

    def post(self, path: str, body: Any) -> Any:
        return self._call(path, json.dumps(body).encode())

    def _call(self, path: str, data: bytes | None = None) -> Any:
        with urllib.request.urlopen(
            urllib.request.Request(f"http://127.0.0.1:{self.http_port}{path}", data), timeout=30
        ) as answer:
            return json.loads(answer.read())

    def studies(self) -> list[str]:
        return [
            self.get(f"/studies/{name}")["MainDicomTags"]["StudyInstanceUID"]
            for name in self.get("/studies")
        ]

    def instances(self, study_uid: str) -> dict[str, str]:
        """Modality of each instance of a study by its SOP Instance UID."""
        (study,) = self.post(
            "/tools/find", {"Level": "Study", "Query": {"StudyInstanceUID": study_uid}}
        )
        series = self.get(f"/studies/{study}/series")
        return {
            self.get(f"/instances/{name}")["MainDicomTags"]["SOPInstanceUID"]: one["MainDicomTags"][
                "Modality"
            ]
            for one in series
            for name in one["Instances"]
        }


@pytest.fixture
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Archive]:
    """An empty Orthanc."""
    with _orthanc(tmp_path_factory.mktemp("orthanc")) as made:
        yield made


@pytest.fixture
def second(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Archive]:
    """Another one."""
    with _orthanc(tmp_path_factory.mktemp("second")) as made:
        yield made


@contextmanager
def _orthanc(folder: Path) -> Iterator[Archive]:
    if ORTHANC is None or not PLUGIN.exists():
        pytest.skip("Orthanc (Debian: orthanc, orthanc-dicomweb) is not installed")
    made = Archive(free_port(), free_port(), free_port())
    settings = {
        "StorageDirectory": str(folder),
        "IndexDirectory": str(folder),
        "HttpPort": made.http_port,
        "DicomPort": made.dicom_port,
        "DicomAet": "ORTHANC",
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "Plugins": [str(PLUGIN)],
        "DicomModalities": {"medinv": ["MEDINV", "127.0.0.1", made.medinv_port]},
    }
    (folder / "orthanc.json").write_text(json.dumps(settings))
    with (folder / "log").open("w") as log:
        process = subprocess.Popen([ORTHANC, folder / "orthanc.json"], stdout=log, stderr=log)
    try:
        eventually(lambda: process.poll() is not None or _answers(made))
        assert process.poll() is None, (folder / "log").read_text()
        yield made
    finally:
        process.terminate()
        process.wait(30)


def _answers(archive: Archive) -> bool:
    try:
        return bool(archive.get("/system"))
    except (urllib.error.URLError, ConnectionError):
        return False


def eventually(true: Callable[[], object], seconds: float = 60) -> None:
    """Wait until it holds; fail when it does not come to hold."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.1)


@pytest.fixture
def storescu() -> Callable[..., subprocess.CompletedProcess]:
    """dcmtk's storescu, calling itself SCANNER."""
    program = shutil.which("storescu")
    if program is None:
        pytest.skip("storescu (Debian: dcmtk) is not installed")

    def run(
        port: int, *words: object, title: str = "SCANNER", called: str = "MEDINV"
    ) -> subprocess.CompletedProcess:
        command = [
            program,
            "-aet",
            title,
            "-aec",
            called,
            "+sd",
            "+r",
            "-R",
            *words[:-1],
            "127.0.0.1",
            str(port),
            words[-1],
        ]
        return subprocess.run(
            [str(word) for word in command], capture_output=True, text=True, timeout=60
        )

    return run


@pytest.fixture
def certificates(tmp_path: Path) -> Callable[[str], Path]:
    """Makes a key and a certificate for 127.0.0.1, signed by itself."""
    program = shutil.which("openssl")
    if program is None:
        pytest.skip("openssl is not installed")

    def make(name: str) -> Path:
        made = tmp_path / f"{name}.pem"
        words = (
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2"
            " -subj /CN=127.0.0.1 -addext subjectAltName=IP:127.0.0.1"
        )
        subprocess.run(
            [program, *words.split(), "-keyout", tmp_path / f"{name}.key", "-out", made],
            check=True,
            capture_output=True,
        )
        return made

    return make
