"""An image is kept once, whole, under possible UIDs, and never beside another patient's."""

import io
import threading
from pathlib import Path

import pytest
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from medinv.errors import HeaderError, RepeatedUidError, TwoPatientsError
from medinv.net.images import Images


def image(number: int = 1, **elements: object) -> Dataset:
    header = Dataset()
    header.StudyInstanceUID, header.SOPInstanceUID = "1.2.3", f"1.2.3.{number}"
    header.PatientID, header.PatientName, header.PatientBirthDate = "7", "Doe^Jane", "19700101"
    for keyword, value in elements.items():
        setattr(header, keyword, value)
    return header


def encoded(header: Dataset, syntax: str = ExplicitVRLittleEndian) -> bytes:
    """As a file."""
    header.SOPClassUID = "1.2.840.10008.5.1.4.1.1.7"
    header.file_meta = FileMetaDataset()
    header.file_meta.TransferSyntaxUID = syntax
    stream = io.BytesIO()
    header.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


OTHERS = {
    "another PatientID": {"PatientID": "8"},
    "another issuer": {"IssuerOfPatientID": "B"},
    "no PatientID and another name": {"PatientID": "", "PatientName": "Roe^Ann"},
    "another name and birth date": {"PatientName": "Roe^Ann", "PatientBirthDate": "19800101"},
}
SAME = {
    "the same": {},
    "spaces and case": {"PatientID": " 7 ", "PatientName": "DOE^JANE"},
    "a married name": {"PatientName": "Roe^Jane"},
    "no PatientID": {"PatientID": ""},
    "nothing at all": {"PatientID": "", "PatientName": "", "PatientBirthDate": ""},
}


@pytest.mark.parametrize("name", OTHERS)
@pytest.mark.parametrize("restarted", [False, True])
def test_another_patient_s_image_is_refused_and_nothing_of_it_stays(
    tmp_path: Path, name: str, restarted: bool
) -> None:
    images = Images(tmp_path)
    first = image(1, IssuerOfPatientID="A")
    images.keep(first, encoded(first))
    before = files(tmp_path)
    other = image(2, **{"IssuerOfPatientID": "A", **OTHERS[name]})
    with pytest.raises(TwoPatientsError) as caught:
        (Images(tmp_path) if restarted else images).keep(other, encoded(other))
    assert files(tmp_path) == before
    for secret in ("Doe", "Roe", "1970", "1980", "'7'", "'8'"):
        assert secret not in str(caught.value)


@pytest.mark.parametrize("name", SAME)
def test_spellings_of_one_patient_are_one_patient(tmp_path: Path, name: str) -> None:
    images = Images(tmp_path)
    for header in (image(1), image(2, **SAME[name])):
        images.keep(header, encoded(header))
    assert len(files(tmp_path)) == 2


def test_each_study_has_a_patient_of_its_own(tmp_path: Path) -> None:
    images = Images(tmp_path)
    images.keep(image(1), encoded(image(1)))
    other = image(2, StudyInstanceUID="1.2.4", PatientID="8", PatientName="Roe^Ann")
    images.keep(other, encoded(other))
    assert len(files(tmp_path)) == 2


def test_the_same_image_again_is_stored_once(tmp_path: Path) -> None:
    images, data = Images(tmp_path), encoded(image(1))
    first = images.keep(image(1), data)
    written = first.stat().st_mtime_ns
    assert images.keep(image(1), data) == first and files(tmp_path) == {first.name: data}
    assert first.stat().st_mtime_ns > written  # it came again


def test_the_same_image_in_another_encoding_is_the_same(tmp_path: Path) -> None:
    images, data = Images(tmp_path), encoded(image(1))
    path = images.keep(image(1), data)
    again = encoded(image(1), ImplicitVRLittleEndian)
    assert again != data
    images.keep(image(1), again)
    assert files(tmp_path) == {path.name: data}


def test_another_image_under_the_same_uid_is_refused_and_the_first_stays(tmp_path: Path) -> None:
    images, data = Images(tmp_path), encoded(image(1))
    path = images.keep(image(1), data)
    other = image(1, SeriesDescription="another")
    with pytest.raises(RepeatedUidError):
        images.keep(other, encoded(other))
    assert files(tmp_path) == {path.name: data}


def test_of_two_that_come_at_once_one_is_kept(tmp_path: Path) -> None:
    images, refused = Images(tmp_path), []
    start = threading.Barrier(8)

    def store(number: int) -> None:
        header = image(number % 4, PatientID=str(number // 4))
        start.wait()
        try:
            images.keep(header, encoded(header))
        except TwoPatientsError:
            refused.append(number)

    threads = [threading.Thread(target=store, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(refused) == 4 and len(files(tmp_path)) == 4


IMPOSSIBLE = ("", "1.2.3/../../x", "1.2.x", "1..2", ".1", "1.2 .3", "1." + "2" * 64, "1.2\\1.3")


@pytest.mark.parametrize("keyword", ["StudyInstanceUID", "SOPInstanceUID"])
@pytest.mark.parametrize("uid", IMPOSSIBLE)
@pytest.mark.filterwarnings("ignore:Invalid value for VR UI", "ignore:The value length")
def test_an_impossible_uid_is_refused(tmp_path: Path, keyword: str, uid: str) -> None:
    with pytest.raises(HeaderError, match=keyword):
        Images(tmp_path).keep(image(1, **{keyword: uid}), b"")
    assert not files(tmp_path)


def test_an_absent_uid_is_refused(tmp_path: Path) -> None:
    with pytest.raises(HeaderError, match="StudyInstanceUID"):
        Images(tmp_path).keep(Dataset(), b"")


@pytest.mark.filterwarnings("ignore:Invalid value for VR UI")
def test_an_odd_uid_that_names_one_thing_is_taken(tmp_path: Path) -> None:
    assert Images(tmp_path).keep(image(1, StudyInstanceUID="1.2.03"), b"").exists()
