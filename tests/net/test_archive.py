"""Sending to and fetching from a real Orthanc."""

import hashlib
import subprocess
from collections.abc import Callable
from pathlib import Path

import pydicom
import pytest
from archives import Archive, free_port

from medinv.errors import MissingDataError, RefusedError, UnreachableError
from medinv.net.results import dicom_files
from medinv.net.retrieve import retrieve_studies, studies_matching
from medinv.net.retry import patiently
from medinv.net.send import send
from medinv.net.settings import DicomPeer, Network, WebPeer

Storescu = Callable[..., subprocess.CompletedProcess]


@pytest.fixture
def study(samples: Path) -> Path:
    """A radiograph in JPEG-LS."""
    return samples / "studies" / "study-01"


@pytest.fixture
def plain(samples: Path) -> Path:
    """A radiograph without compression, as storescu sends it by default."""
    return samples / "studies" / "study-08"


def uid_of(study: Path) -> str:
    return pydicom.dcmread(next(study.rglob("*.dcm")), stop_before_pixels=True).StudyInstanceUID


def pixels(folder: Path) -> set[str]:
    return {
        hashlib.sha256(pydicom.dcmread(path).pixel_array.tobytes()).hexdigest()
        for path in folder.rglob("*.dcm")
    }


@pytest.mark.parametrize("way", ["pacs", "web"])
def test_what_is_sent_arrives_once_however_often_it_is_sent(
    archive: Archive, study: Path, way: str
) -> None:
    for _ in range(2):
        assert [
            sent.error
            for sent in send(dicom_files([study]), archive.network.peer(way), archive.network)
        ] == [None]
    assert list(archive.instances(uid_of(study)).values()) == ["DX"]


@pytest.mark.parametrize("way", ["pacs", "web"])
def test_a_study_is_found_and_fetched_with_every_pixel(
    archive: Archive, storescu: Storescu, plain: Path, tmp_path: Path, way: str
) -> None:
    assert storescu(archive.dicom_port, plain, called="ORTHANC").returncode == 0
    network, peer = archive.network, archive.network.peer(way)
    assert studies_matching(peer, {"PatientID": "nobody"}, network) == []
    uids = studies_matching(peer, {"StudyDate": "20200101", "ModalitiesInStudy": "DX"}, network)
    assert uids == [uid_of(plain)]
    assert retrieve_studies(peer, uids, tmp_path, network) == [1]
    assert pixels(tmp_path) == pixels(plain)


@pytest.mark.parametrize(("way", "said"), [("pacs", "C000H"), ("web", "404")])
def test_a_study_that_is_not_there_is_an_error_with_the_archive_s_answer(
    archive: Archive, tmp_path: Path, way: str, said: str
) -> None:
    with pytest.raises(RefusedError, match=said):
        retrieve_studies(archive.network.peer(way), ["1.2.3.4"], tmp_path, archive.network)


def test_frames_in_any_encoding_travel_unchanged(
    archive: Archive, study: Path, tmp_path: Path
) -> None:
    send(dicom_files([study]), archive.network.peer("pacs"), archive.network)
    retrieve_studies(archive.network.peer("pacs"), [uid_of(study)], tmp_path, archive.network)
    assert pixels(tmp_path) == pixels(study)


@pytest.mark.parametrize(
    "peer",
    [
        DicomPeer(ae_title="PACS", address="127.0.0.1", port=free_port()),
        WebPeer(url=f"http://127.0.0.1:{free_port()}/dicom-web"),
    ],
)
def test_a_peer_that_does_not_answer_fails_every_file_with_a_typed_error(
    study: Path, peer: DicomPeer | WebPeer
) -> None:
    sent = send(dicom_files([study]), peer, Network(tries=2))
    assert [one.error.code for one in sent] == ["unreachable"] and "127.0.0.1" in sent[
        0
    ].error.message


def test_one_bad_file_stops_no_other(archive: Archive, study: Path, tmp_path: Path) -> None:
    (tmp_path / "cut.dcm").write_bytes(b"\0" * 128 + b"DICM")
    bad, good = send(
        [tmp_path / "cut.dcm", *dicom_files([study])], archive.network.peer("pacs"), archive.network
    )
    assert bad.error.code == "not-dicom" and good.error is None


def test_sending_waits_longer_and_longer_and_then_says_why() -> None:
    waits: list[float] = []

    def busy() -> None:
        raise UnreachableError("busy")

    with pytest.raises(UnreachableError):
        patiently(busy, 4, waits.append)
    assert waits == [0.5, 1.0, 2.0]


def test_a_folder_without_dicom_is_said(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("nothing")
    with pytest.raises(MissingDataError, match="DICOM files to send"):
        dicom_files([tmp_path])
