"""The service as an archive's administrator meets it.

It takes named senders only, loses nothing, and its answer is found in the study it belongs to.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pydicom
import pytest
import yaml
from archives import Archive, eventually, free_port
from pydicom import Dataset
from pynetdicom import AE
from servers import JSON, referenced, sequences, serving, web

from medinv.analysis.result import ModelUsed, StudyResult
from medinv.errors import ConfigError, UnreachableError
from medinv.net import receive
from medinv.net.inbox import Waiting
from medinv.net.receive import Service
from medinv.net.send import send
from medinv.net.settings import Caller, DicomPeer, Network, Tls

Storescu = Callable[..., subprocess.CompletedProcess]


@pytest.fixture
def study(samples: Path) -> Path:
    """A radiograph with an opacity, stored without compression."""
    return samples / "studies" / "study-08"


class Answering(Service):
    """A service that has no model and takes the study's first image for its result."""

    def _classify(self, study: Waiting) -> None:
        results = self.inbox.results(study.name)
        (results / "reports").mkdir(parents=True, exist_ok=True)
        shutil.copy(next((study.folder / "images").glob("*.dcm")), results / "reports" / "sr.dcm")
        result = StudyResult(
            study_uid=study.name,
            status="ok",
            error=None,
            label=None,
            probabilities=None,
            rule="",
            aggregation="",
            model=ModelUsed(name="none", sha256=""),
            seconds=0.0,
            dicom=("reports/sr.dcm",),
        )
        (results / "results.jsonl").write_text(json.dumps(result.row()))


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
    with serving(away, tmp_path, kind=Answering) as said:
        storescu(archive.medinv_port, study)
        (image,) = received(tmp_path)
        eventually(lambda: any("unreachable" in line for line in said))
        assert received(tmp_path) == [image]
    with serving(archive.network, tmp_path, kind=Answering) as said:
        eventually(lambda: any("1 objects sent to pacs" in line for line in said))
    assert archive.instances(pydicom.dcmread(image).StudyInstanceUID)


LIES = {
    "a redirect": (302, "text/html", b""),
    "a page": (200, "text/html", b"<html>Please log in</html>"),
    "nothing": (200, "", b""),
    "another file": (200, JSON, sequences([referenced("1.2.3")])),
}


@pytest.mark.parametrize("name", LIES)
def test_images_stay_until_the_server_says_that_it_has_their_result(
    study: Path, storescu: Storescu, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(receive, "FIRST", 1.0)
    uid = pydicom.dcmread(next(study.glob("*.dcm")), stop_before_pixels=True).SOPInstanceUID
    with web() as server:
        server.answers(*LIES[name], Location=f"{server.peer.url}/studies")
        network = Network(
            port=free_port(),
            callers=(Caller(ae_title="SCANNER", address="127.0.0.1"),),
            peers={"web": server.peer},
            answer_to="web",
            quiet_seconds=0.1,
            keep_hours=0,
        )
        with serving(network, tmp_path, kind=Answering) as said:
            storescu(network.port, study)
            eventually(lambda: any("[refused]: STOW-RS" in line for line in said))
            assert len(received(tmp_path)) == 1
            server.answers(200, JSON, sequences([referenced(uid)]))
            eventually(lambda: not received(tmp_path))


def stored(port: int, *images: Dataset) -> list[tuple[int, str]]:
    """Status and comment of each image that SCANNER sends."""
    ae = AE("SCANNER")
    ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = 60
    ae.add_requested_context(images[0].SOPClassUID)
    association = ae.associate("127.0.0.1", port, ae_title="MEDINV")
    assert association.is_established
    answers = [association.send_c_store(image) for image in images]
    association.release()
    return [(answer.Status, answer.get("ErrorComment", "")) for answer in answers]


@pytest.mark.filterwarnings("ignore:Invalid value for VR UI", "ignore:The value length")
def test_the_sender_is_told_why_an_image_is_not_taken(
    study: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def image(**elements: object) -> Dataset:
        made = pydicom.dcmread(next(study.glob("*.dcm")))
        for keyword, value in elements.items():
            setattr(made, keyword, value)
        return made

    first = image(PatientID="4711", PatientName="Secret^Jane", SOPInstanceUID="1.2.3.1")
    others = (
        (first, (0x0000, "")),
        (first, (0x0000, "")),
        (
            image(PatientID="4712", PatientName="Secret^Ann", SOPInstanceUID="1.2.3.2"),
            (0xC010, "this study holds images of another patient"),
        ),
        (
            image(
                PatientID="4711",
                PatientName="Secret^Jane",
                SOPInstanceUID="1.2.3.1",
                SeriesDescription="another",
            ),
            (0xC011, "another image stands under this SOP Instance UID"),
        ),
        (image(StudyInstanceUID="1.2.x"), (0xC000, "header")),
        (image(StudyInstanceUID="1." + "2" * 70), (0xC000, "header")),
        (image(PatientID="4711", PatientName="Secret^Jane", SOPInstanceUID="1.2.3.3"), (0, "")),
    )
    callers = (Caller(ae_title="SCANNER", address="127.0.0.1"),)
    network = Network(port=free_port(), callers=callers, quiet_seconds=60)
    with serving(network, tmp_path):
        answers = stored(network.port, *(one for one, _ in others))
    assert answers == [answer for _, answer in others]
    kept = sorted(pydicom.dcmread(path).SOPInstanceUID for path in received(tmp_path))
    assert kept == ["1.2.3.1", "1.2.3.3"]
    ours = "".join(one.getMessage() for one in caplog.records if one.name == "medinv.net")
    assert "two-patients" in ours  # pydicom's own lines are kept quiet by the command
    for secret in ("471", "Secret", "1.2.3", "1.2.x"):
        assert secret not in ours


@pytest.mark.parametrize("damage", ["cut", "deleted"])
def test_results_that_are_lost_before_they_are_sent_are_made_again(
    study: Path, storescu: Storescu, tmp_path: Path, damage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(receive, "FIRST", 1.0)
    uid = pydicom.dcmread(next(study.glob("*.dcm")), stop_before_pixels=True).SOPInstanceUID
    callers = (Caller(ae_title="SCANNER", address="127.0.0.1"),)
    with web() as server:
        server.answers(503, "", b"")
        network = Network(
            port=free_port(),
            callers=callers,
            peers={"web": server.peer},
            answer_to="web",
            quiet_seconds=0.1,
            tries=1,
        )
        with serving(network, tmp_path, kind=Answering) as said:
            storescu(network.port, study)
            eventually(lambda: any("unreachable" in line for line in said))
            (rows,) = tmp_path.rglob("results.jsonl")
            if damage == "cut":
                rows.write_text('{"status"')
            else:
                shutil.rmtree(rows.parent)
            server.answers(200, JSON, sequences([referenced(uid)]))
            eventually(lambda: any("1 objects sent to web" in line for line in said))


def test_a_state_that_is_cut_does_not_end_the_service(
    study: Path, storescu: Storescu, tmp_path: Path
) -> None:
    callers = (Caller(ae_title="SCANNER", address="127.0.0.1"),)
    network = Network(port=free_port(), callers=callers, quiet_seconds=0.1)
    with serving(network, tmp_path):
        storescu(network.port, study)
        (image,) = received(tmp_path)
        state = image.parents[1] / "state.json"
        eventually(state.exists)
        for content in (b'{"images": {"', b"[]", b"\xff"):
            state.write_bytes(content)
            eventually(lambda: b"answered" in (state.read_bytes() if state.exists() else b""))
        shutil.rmtree(tmp_path / "studies")  # by somebody else
        eventually(lambda: not (tmp_path / "studies").exists())
        assert storescu(network.port, study).returncode == 0
    assert len(received(tmp_path)) == 1


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
