"""The disk decides: nothing is lost, nothing is answered twice, and a killed service goes on."""

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pydicom
import pytest
from pydicom import Dataset

from medinv.batch.lock import FILE
from medinv.errors import ConfigError
from medinv.files import pseudonym
from medinv.net.inbox import Inbox


def image(number: int = 1, **elements: object) -> Dataset:
    header = Dataset()
    header.StudyInstanceUID, header.SOPInstanceUID, header.PatientName = (
        "1.2.3",
        f"1.2.3.{number}",
        "Doe^Secret",
    )
    for keyword, value in elements.items():
        setattr(header, keyword, value)
    return header


def age(inbox: Inbox, seconds: float) -> None:
    """Make every image look as old."""
    for path in inbox.folder.rglob("*.dcm"):
        os.utime(path, (time.time() - seconds,) * 2)


def test_a_study_is_due_when_it_has_been_quiet_and_again_when_an_image_comes_late(
    tmp_path: Path,
) -> None:
    inbox = Inbox(tmp_path)
    inbox.keep(image(1), b"one")
    assert inbox.due(60) == []
    age(inbox, 61)
    (study,) = inbox.due(60)
    assert study.stage == "received"
    inbox.note(study, "classified")
    assert [one.stage for one in inbox.due(60)] == ["classified"]
    inbox.note(study, "answered")
    assert inbox.due(60) == []
    inbox.keep(image(2), b"two")
    (again,) = inbox.due(0)
    assert again.stage == "received" and len(again.images) == 2


def test_an_image_that_comes_while_its_study_is_classified_is_not_lost(tmp_path: Path) -> None:
    inbox = Inbox(tmp_path)
    inbox.keep(image(1), b"one")
    (study,) = inbox.due(0)
    inbox.keep(image(2), b"two")
    inbox.note(study, "answered")
    assert [one.stage for one in inbox.due(0)] == ["received"]


def test_another_process_sees_where_the_first_stood(tmp_path: Path) -> None:
    first = Inbox(tmp_path)
    first.keep(image(1), b"one")
    first.note(first.due(0)[0], "classified")
    with pytest.raises(ConfigError, match="another run or service"):
        Inbox(tmp_path)
    first.close()
    assert [one.stage for one in Inbox(tmp_path).due(0)] == ["classified"]


def test_names_are_hashes_and_half_a_file_is_never_seen(tmp_path: Path) -> None:
    inbox = Inbox(tmp_path)
    inbox.keep(image(1), b"one")
    (path,) = tmp_path.rglob("*.dcm")
    assert (
        path.read_bytes() == b"one"
        and path.stem == pseudonym("1.2.3.1", "image")
        and "1.2.3" not in str(path.relative_to(tmp_path))
    )
    assert not [found for found in tmp_path.rglob(".*") if found.is_file()]


def test_our_own_results_do_not_come_round(tmp_path: Path) -> None:
    inbox, item = Inbox(tmp_path), Dataset()
    item.Manufacturer, item.DeviceUID = "medinv", "2.25.1"
    inbox.keep(image(1, ContributingEquipmentSequence=pydicom.Sequence([item])), b"ours")
    inbox.keep(image(2, Manufacturer="medinv"), b"a phantom of ours is an image as any other")
    assert len(list(tmp_path.rglob("*.dcm"))) == 1


def test_images_are_forgotten_only_after_they_were_answered(tmp_path: Path) -> None:
    inbox = Inbox(tmp_path)
    inbox.keep(image(1), b"one")
    inbox.forget(0)
    assert list(tmp_path.rglob("*.dcm"))
    inbox.note(inbox.due(0)[0], "answered")
    inbox.forget(1)
    assert list(tmp_path.rglob("*.dcm"))
    inbox.forget(0)
    assert not list(tmp_path.rglob("*.dcm"))


def test_a_study_that_failed_is_kept_and_waits_to_be_sent_again(tmp_path: Path) -> None:
    inbox = Inbox(tmp_path)
    inbox.keep(image(1), b"one")
    inbox.note(inbox.due(0)[0], "failed")
    inbox.forget(0)
    assert inbox.due(0) == [] and list(tmp_path.rglob("*.dcm"))
    inbox.keep(image(1), b"one")
    assert [one.stage for one in inbox.due(0)] == ["received"]


def test_a_state_that_is_cut_or_wrong_counts_as_none_and_is_put_aside(tmp_path: Path) -> None:
    inbox = Inbox(tmp_path)
    inbox.keep(image(1), b"one")
    inbox.note(inbox.due(0)[0], "answered")
    (path,) = tmp_path.rglob("state.json")
    whole = path.read_bytes()
    wrong = (
        whole[:-5], b"", b"\0" * 40, b"[]", b"3", b'{"stage": 7}', b'{"images": [], "stage": "x"}',
        b"[" * 100_000, b"\xff\xfe",
    )  # fmt: skip
    for content in wrong:
        path.write_bytes(content)
        assert [one.stage for one in inbox.due(0)] == ["received"], content[:20]
        inbox.forget(0)
        assert not path.exists() and path.with_name("state.json.unreadable").exists()
    path.with_name("state.json.unreadable").unlink()
    path.mkdir()
    assert [one.stage for one in inbox.due(0)] == ["received"]
    inbox.note(inbox.due(0)[0], "answered")
    assert inbox.due(0) == []


def test_what_is_no_study_among_the_studies_is_left_alone(tmp_path: Path) -> None:
    inbox = Inbox(tmp_path)
    (tmp_path / "studies" / "notes.txt").write_text("by hand")
    (tmp_path / "studies" / "empty").mkdir()
    inbox.keep(image(1), b"one")
    assert len(inbox.due(0)) == 1
    inbox.forget(0)


def test_an_image_that_comes_again_before_it_is_forgotten_stays(tmp_path: Path) -> None:
    inbox = Inbox(tmp_path)
    inbox.keep(image(1), b"one")
    inbox.note(inbox.due(0)[0], "answered")
    (path,) = tmp_path.rglob("*.dcm")
    before = path.stat().st_mtime_ns
    inbox.keep(image(1), b"one")
    inbox._images.forget(path, before)
    assert path.exists() and [one.stage for one in inbox.due(0)] == ["received"]


def test_the_holder_of_a_folder_is_named(tmp_path: Path) -> None:
    first = Inbox(tmp_path)
    with pytest.raises(ConfigError, match=f"process {os.getpid()} on {socket.gethostname()} since"):
        Inbox(tmp_path)
    first.close()
    assert not (tmp_path / FILE).exists()
    Inbox(tmp_path).close()


def test_the_lock_of_a_killed_service_is_taken_over_and_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    code = (
        "import os, sys, pathlib; from medinv.net.inbox import Inbox;"
        "inbox = Inbox(pathlib.Path(sys.argv[1])); os.kill(os.getpid(), 9)"
    )
    killed = subprocess.Popen([sys.executable, "-c", code, tmp_path])
    assert killed.wait(200) == -9
    Inbox(tmp_path).close()
    assert f"took over the folder from process {killed.pid} on" in caplog.text


def test_the_lock_of_another_host_is_not_taken_over(tmp_path: Path) -> None:
    held = {"pid": 77, "host": "elsewhere", "began": "2020-01-01 00:00:00"}
    (tmp_path / FILE).write_text(json.dumps(held))
    with pytest.raises(ConfigError, match=r"process 77 on elsewhere since 2020.*delete run.lock"):
        Inbox(tmp_path)
    (tmp_path / FILE).unlink()
    Inbox(tmp_path)


def test_a_lock_file_that_says_nothing_keeps_nobody_out(tmp_path: Path) -> None:
    for content in ("", "{", "[]", '{"host": "x"}'):
        (tmp_path / FILE).write_text(content)
        Inbox(tmp_path).close()
