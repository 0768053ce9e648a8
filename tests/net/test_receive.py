"""The service as an archive's administrator meets it: named senders only, nothing lost, the answer found in the study it belongs to."""

import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pydicom
import pytest
import yaml
from archives import Archive, eventually, free_port

from medinv.errors import ConfigError, UnreachableError
from medinv.models.density import Classifier
from medinv.net.receive import Service
from medinv.net.send import send
from medinv.net.settings import Caller, DicomPeer, Network, Tls

Storescu = Callable[..., subprocess.CompletedProcess]


@pytest.fixture
def study(samples: Path) -> Path:
    """A radiograph with an opacity, stored without compression."""
    return samples / "studies" / "study-08"


@contextmanager
def serving(
    network: Network, folder: Path, models: Sequence[Classifier] = ()
) -> Iterator[list[str]]:
    """A service, without a model unless one is given; gives what it says."""
    said, stop = [], threading.Event()
    service = Service(network, models, folder, said.append)
    thread = threading.Thread(target=service.run, args=(stop,))
    thread.start()
    try:
        eventually(lambda: said)
        yield said
    finally:
        stop.set()
        thread.join(60)


def received(folder: Path) -> list[Path]:
    return list(folder.glob("studies/*/images/*.dcm"))


def test_only_named_titles_from_their_addresses_may_store(
    study: Path, storescu: Storescu, tmp_path: Path
) -> None:
    port = free_port()
    callers = (
        Caller(ae_title="SCANNER", address="127.0.0.1"),
        Caller(ae_title="ELSEWHERE", address="10.1.2.3"),
    )
    with serving(Network(port=port, callers=callers, quiet_seconds=60), tmp_path):
        for title, called in (
            ("STRANGER", "MEDINV"),
            ("ELSEWHERE", "MEDINV"),
            ("SCANNER", "OTHER"),
        ):
            refused = storescu(port, study, title=title, called=called)
            assert refused.returncode != 0 and "Rejected" in refused.stderr, refused.stderr
            assert not received(tmp_path)
        assert storescu(port, study).returncode == 0
        (path,) = received(tmp_path)
    assert pydicom.dcmread(path).PixelData == pydicom.dcmread(next(study.glob("*.dcm"))).PixelData


def test_a_port_that_is_taken_is_said(tmp_path: Path) -> None:
    network = Network(port=free_port())
    with serving(network, tmp_path / "one"), pytest.raises(ConfigError, match="cannot listen"):
        Service(network, [], tmp_path / "two").run(threading.Event())


def test_with_tls_both_sides_must_show_a_certificate(
    study: Path, certificates: Callable[[str], Path], tmp_path: Path
) -> None:
    ours, foreign = certificates("ours"), certificates("foreign")
    port = free_port()
    tls = Tls(certificate=ours, key=ours.with_suffix(".key"), authority=ours)
    stranger = Tls(certificate=foreign, key=foreign.with_suffix(".key"), authority=ours)
    node = DicomPeer(ae_title="MEDINV", address="127.0.0.1", port=port, tls=True)
    files = list(study.glob("*.dcm"))
    with serving(
        Network(
            port=port,
            callers=(Caller(ae_title="SCANNER", address="127.0.0.1"),),
            quiet_seconds=60,
            tls=tls,
        ),
        tmp_path / "in",
    ):
        for peer, shown in ((node, stranger), (node.model_copy(update={"tls": False}), None)):
            (sent,) = send(files, peer, Network(ae_title="SCANNER", tls=shown, tries=1))
            assert isinstance(sent.error, UnreachableError) and not received(tmp_path / "in")
        (sent,) = send(files, node, Network(ae_title="SCANNER", tls=tls))
        assert sent.error is None and len(received(tmp_path / "in")) == 1


def test_an_answer_that_cannot_be_sent_is_kept_and_sent_later(
    archive: Archive, study: Path, storescu: Storescu, tmp_path: Path
) -> None:
    away = archive.network.model_copy(
        update={
            "peers": {"pacs": DicomPeer(ae_title="ORTHANC", address="127.0.0.1", port=free_port())},
            "tries": 1,
        }
    )
    with serving(away, tmp_path) as said:
        storescu(archive.medinv_port, study)
        (image,) = received(tmp_path)
        results = tmp_path / "results" / image.parts[-3] / "reports" / "model"
        results.mkdir(parents=True)
        shutil.copy(image, results / "answer.dcm")  # stands for a result: there is no model here
        eventually(lambda: any("unreachable" in line for line in said))
        assert received(tmp_path) == [image]
    with serving(archive.network, tmp_path) as said:
        eventually(lambda: any("1 objects sent to pacs" in line for line in said))
    assert archive.instances(pydicom.dcmread(image).StudyInstanceUID)


def test_a_study_that_cannot_be_read_is_kept_and_said(
    study: Path, storescu: Storescu, tmp_path: Path
) -> None:
    from medinv.models.store import load

    damaged = pydicom.dcmread(next(study.glob("*.dcm")))
    damaged.PixelData = damaged.PixelData[:1000]
    (tmp_path / "in").mkdir()
    damaged.save_as(tmp_path / "in" / "damaged.dcm")
    network = Network(
        port=free_port(),
        callers=(Caller(ae_title="SCANNER", address="127.0.0.1"),),
        quiet_seconds=0.5,
        keep_hours=0,
    )
    with serving(network, tmp_path / "work", [load("phantom-opacity")]) as said:
        assert storescu(network.port, tmp_path / "in").returncode == 0
        eventually(lambda: any("failed (pixel-data)" in line for line in said), 200)
        eventually(
            lambda: any('"failed"' in path.read_text() for path in tmp_path.rglob("state.json"))
        )
    assert len(received(tmp_path / "work")) == 1


@contextmanager
def program(network: Path, folder: Path) -> Iterator[subprocess.Popen]:
    """`medinv receive` as a process of its own."""
    command = [
        sys.executable,
        "-u",
        "-c",
        "from medinv.cli.main import main; main()",
        "receive",
        "--network",
        network,
        "--model",
        "phantom-opacity",
        "--folder",
        folder,
    ]
    with (folder.parent / "said").open("w") as said:
        process = subprocess.Popen(
            [str(word) for word in command],
            stdout=said,
            stderr=said,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
    try:
        eventually(
            lambda: "listens" in (folder.parent / "said").read_text() or process.poll() is not None,
            500,
        )
        assert process.poll() is None, (folder.parent / "said").read_text()
        yield process
    finally:
        process.kill()
        process.wait(30)


def test_a_study_comes_in_is_classified_and_its_answer_stands_in_the_archive_once(
    archive: Archive, study: Path, storescu: Storescu, tmp_path: Path
) -> None:
    network, folder = tmp_path / "network.yaml", tmp_path / "work"
    network.write_text(
        yaml.safe_dump({**archive.network.model_dump(mode="json"), "quiet_seconds": 3})
    )
    uid = pydicom.dcmread(next(study.glob("*.dcm")), stop_before_pixels=True).StudyInstanceUID
    assert storescu(archive.dicom_port, study, called="ORTHANC").returncode == 0
    with program(network, folder) as process:
        assert storescu(archive.medinv_port, study).returncode == 0
        os.kill(process.pid, signal.SIGKILL)  # before the study is quiet
    assert received(folder) and set(archive.instances(uid).values()) == {"DX"}
    with program(network, folder) as process:
        eventually(lambda: "objects sent to pacs" in (tmp_path / "said").read_text(), 500)
        found = archive.instances(uid)
        assert {"DX", "SR", "OT", "DOC"} <= set(found.values()) and archive.studies() == [uid]
        archive.post(
            "/modalities/medinv/store", archive.get("/studies")
        )  # all of it comes back, our results too
        eventually(lambda: (tmp_path / "said").read_text().count("objects sent to pacs") == 2, 500)
        assert archive.instances(uid) == found
        process.terminate()
        assert process.wait(60) == 0
    said = (tmp_path / "said").read_text()
    written = b"".join(
        path.read_bytes()
        for path in (folder / "results").rglob("*")
        if path.is_file() and path.suffix != ".dcm"
    )
    names = "".join(str(path.relative_to(folder)) for path in folder.rglob("*"))
    assert "not for diagnosis" in said and not [
        secret
        for secret in ("PHANTOM-", uid)
        if secret in said + names or secret.encode() in written
    ]
