"""Two patients are never one, and one patient's study is not lost for a spelling."""

import pickle
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
from dicom_samples import PYDICOM_FILES, write
from pydicom.fileset import FileSet

from medinv.data.dicom.index import Index, index
from medinv.errors import TwoPatientsError

DOE = {"PatientID": "4711", "PatientName": "Doe^Jane", "PatientBirthDate": "19700101"}


def pair(folder: Path, first: dict, second: dict) -> Path:
    """Two images of one study, two series."""
    for number, elements in enumerate((first, second), 1):
        uid = {"SeriesInstanceUID": f"1.2.1.{number}"}
        write(folder / f"{number}.dcm", number=number, **(DOE | elements | uid))
    return folder


def refused(found: Index) -> bool:
    """Every image of the study, or none."""
    errors = [broken.error for broken in found.broken]
    assert bool(errors) != bool(list(found.instances))
    assert all(
        isinstance(error, TwoPatientsError) and error.code == "two-patients" for error in errors
    )
    assert all(error.path for error in errors)
    return bool(errors)


@pytest.mark.parametrize(
    "other",
    [
        {"PatientID": "4712"},
        {"PatientID": "4712", "PatientName": "Roe^Richard", "PatientBirthDate": "19800202"},
        {"PatientName": "Roe^Richard", "PatientBirthDate": "19800202"},
        {"PatientID": "", "PatientName": "Roe^Richard"},
        {"PatientID": "", "PatientBirthDate": "19800202"},
        {"PatientName": "Roe^Richard", "PatientBirthDate": ""},
    ],
)
def test_two_patients_in_one_study_are_refused(tmp_path: Path, other: dict) -> None:
    found = index([pair(tmp_path, {}, other)])
    assert refused(found) and found.counts() == {
        "files": 2,
        "instances": 0,
        "skipped": 0,
        "broken": 2,
    }
    text = repr(found) + "".join(str(broken.error) for broken in found.broken)
    assert not any(value in text for value in ["Doe^Jane", "19700101", "Roe^", "19800202"])


def test_one_number_of_two_issuers_is_two_patients(tmp_path: Path) -> None:
    a, b = {"IssuerOfPatientID": "Hospital A"}, {"IssuerOfPatientID": "Hospital B"}
    assert refused(index([pair(tmp_path / "two", a, b)]))
    assert not refused(index([pair(tmp_path / "one", a, {})]))


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"PatientID": " 4711 "}, None),
        ({"PatientName": "DOE^JANE^^^"}, None),
        ({"PatientName": "Jane Doe"}, None),
        ({"PatientID": ""}, "no PatientID"),
        ({"PatientID": None, "PatientName": "", "PatientBirthDate": ""}, "no PatientID"),
        ({"PatientName": "Miller^Jane"}, "spelled"),
        ({"PatientName": "Schmidt^Johanna"}, "spelled"),
        ({"PatientBirthDate": "19700102"}, "birth dates"),
    ],
)
def test_one_patient_spelled_in_several_ways_is_one(
    tmp_path: Path, other: dict, said: str | None
) -> None:
    found = index([pair(tmp_path, {}, other)])
    assert not refused(found)
    (study,) = found.studies
    assert [said in warning for warning in study.warnings] == [True] if said else not study.warnings


def test_case_of_the_number_is_said_and_accents_of_the_name_are_not(tmp_path: Path) -> None:
    lower, upper = {"PatientID": "a1"}, {"PatientID": "A1"}
    (study,) = index([pair(tmp_path / "case", lower, upper)]).studies
    assert len(study.instances) == 2 and "several ways" in study.warnings[0]
    plain = {"PatientName": "Muller^Zoe"}
    accents = {"PatientName": "Müller^Zoë", "SpecificCharacterSet": "ISO_IR 100"}
    (study,) = index([pair(tmp_path / "accents", plain, accents)]).studies
    assert len(study.instances) == 2 and not study.warnings


def test_a_name_is_compared_by_what_it_says_not_by_its_bytes(tmp_path: Path) -> None:
    latin = {"PatientID": "", "PatientName": "Gößner^Käthe", "SpecificCharacterSet": "ISO_IR 100"}
    unicode = {**latin, "SpecificCharacterSet": "ISO_IR 192"}
    (study,) = index([pair(tmp_path, latin, unicode)]).studies
    assert len(study.instances) == 2 and not study.warnings


@pytest.mark.parametrize(
    ("stored", "said"),
    [("Müller".encode(), "UTF-8"), (b"M\xfcller^", "kept as they are")],
    ids=["undeclared", "unreadable"],
)
def test_a_name_in_no_declared_character_set_is_said_once(
    tmp_path: Path, stored: bytes, said: str
) -> None:
    path = write(tmp_path / "a.dcm", PatientID="1", PatientName="X" * len(stored))
    path.write_bytes(path.read_bytes().replace(b"X" * len(stored), stored))
    (instance,) = next(iter(index([path]).studies)).instances
    assert [said in warning for warning in instance.warnings] == [True]
    assert not any("ller" in warning for warning in instance.warnings)


def test_an_object_that_is_no_image_counts_too(tmp_path: Path) -> None:
    write(tmp_path / "image.dcm", **DOE)
    report = {"PatientID": "4712", "SOPClassUID": "1.2.840.10008.5.1.4.1.1.88.11"}
    path = write(tmp_path / "report.dcm", number=2, **report)
    content = path.read_bytes()
    path.write_bytes(content[: content.index(b"\x28\x00\x02\x00US")])  # without its pixel module
    found = index([tmp_path])
    assert found.counts() == {"files": 2, "instances": 0, "skipped": 1, "broken": 1}
    assert isinstance(next(found.broken).error, TwoPatientsError)


def test_the_rule_holds_whatever_way_the_files_came(tmp_path: Path) -> None:
    folder = pair(tmp_path / "files", {}, {"PatientID": "4712"})
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        for path in folder.iterdir():
            archive.write(path, path.name)
    rows = "".join(f"{path},visit\n" for path in sorted(folder.iterdir()))
    (tmp_path / "list.csv").write_text("path,study\n" + rows)
    split = tmp_path / "split"
    for path in folder.iterdir():
        (split / path.stem).mkdir(parents=True)
        shutil.copy(path, split / path.stem)
    ways = ([folder], sorted(folder.iterdir()), [tmp_path / "all.zip"], [tmp_path / "list.csv"])
    for given in (*ways, [split / "1", split / "2"]):
        assert refused(index(list(given)))


def test_a_dicomdir_of_two_patients_under_one_study_is_refused(tmp_path: Path) -> None:
    stated = {"StudyDate": "20200101", "StudyTime": "120000", "StudyID": "1", "SeriesNumber": 1}
    folder = pair(tmp_path / "files", stated, stated | {"PatientID": "4712"})
    medium = FileSet()
    for path in sorted(folder.iterdir()):
        medium.add(path)
    medium.write(tmp_path / "cd")
    found = index([tmp_path / "cd" / "DICOMDIR"])
    assert [type(broken.error) for broken in found.broken] == [TwoPatientsError] * 2


def test_a_list_does_not_join_two_patients(tmp_path: Path) -> None:
    for number, who in enumerate(("4711", "4711", "4712", ""), 1):
        elements = {"PatientID": who, "StudyInstanceUID": f"1.2.{number}"}
        write(tmp_path / f"{number}.dcm", number=number, **(DOE | elements))
    listed = tmp_path / "list.csv"
    listed.write_text("path,study\n1.dcm,v\n2.dcm,v\n3.dcm,v\n")
    assert refused(index([listed]))
    listed.write_text("path,study\n1.dcm,v\n2.dcm,v\n")
    (study,) = index([listed]).studies
    assert len(study.instances) == 2 and not study.warnings
    listed.write_text("path,study\n1.dcm,v\n4.dcm,v\n")
    (study,) = index([listed]).studies
    assert any("not every image says whose" in warning for warning in study.warnings)


def test_nothing_of_a_patient_can_be_read_from_an_instance(tmp_path: Path) -> None:
    who = DOE | {"PatientID": "NUMBER-4711", "IssuerOfPatientID": "Issuer"}
    instance = next(index([write(tmp_path / "a.dcm", **who)]).instances)
    content = pickle.dumps(instance)
    assert instance.patient.stated and "patient=" not in repr(instance)
    assert not any(value.encode() in content for value in [*who.values(), "Doe", "Jane"])
    assert not any(value in repr(instance.patient) for value in [*who.values(), "Doe", "Jane"])
    assert pickle.loads(content).patient == instance.patient


def test_real_studies_are_of_one_patient() -> None:
    found = index([PYDICOM_FILES / "dicomdirtests"])
    assert not any(isinstance(broken.error, TwoPatientsError) for broken in found.broken)


def test_thousands_of_spellings_do_not_take_hours(tmp_path: Path) -> None:
    pixels = np.zeros((2, 2), np.uint8)
    for number in range(90):
        write(
            tmp_path / f"{number}.dcm",
            pixels,
            number=number,
            **(DOE | {"PatientName": f"A{number}"}),
        )
    assert refused(index([tmp_path]))
