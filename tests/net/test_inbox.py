"""What stands on the disk decides: nothing is lost, nothing is answered twice, and a killed service goes on."""

import os
import time
from pathlib import Path

import pydicom
import pytest

from medinv.files import pseudonym
from medinv.errors import ConfigError, HeaderError
from medinv.net.inbox import Inbox
from pydicom import Dataset


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
    with pytest.raises(ConfigError, match="another medinv receive"):
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


def test_an_image_without_uids_is_refused(tmp_path: Path) -> None:
    with pytest.raises(HeaderError, match="StudyInstanceUID"):
        Inbox(tmp_path).keep(Dataset(), b"")
