"""A model of an age group is shown no other patients, and no result says how old one is."""

from pathlib import Path

import pytest
from dicom_samples import write

from medinv.config import Rules, Selection
from medinv.data.dicom.index import index
from medinv.data.dicom.rules import choose


@pytest.mark.parametrize(
    ("header", "taken"),
    [
        ({"PatientAge": "003Y"}, True),
        ({"PatientAge": "005Y"}, True),
        ({"PatientAge": "018M"}, True),
        ({"PatientAge": "006Y"}, False),
        ({"PatientAge": "011M"}, False),
        ({"PatientAge": "040D"}, False),
        # On the day before the sixth birthday a child is five.
        ({"PatientBirthDate": "20140102", "StudyDate": "20200101"}, True),
        ({"PatientBirthDate": "20140101", "StudyDate": "20200101"}, False),
        ({"PatientBirthDate": "19500101", "StudyDate": "20200101"}, False),
        # The age that is stated counts, whatever the dates say.
        ({"PatientAge": "003Y", "PatientBirthDate": "19500101", "StudyDate": "20200101"}, True),
    ],
)
def test_the_age_in_the_header_decides(tmp_path: Path, header: dict, taken: bool) -> None:
    write(tmp_path / "film", **header)
    (study,) = index([tmp_path]).studies
    choice = choose(study, Rules(selection=Selection(age=(1, 5))))
    assert bool(choice.study.instances) == taken
    said = [skipped for skipped in choice.study.skipped if skipped.code == "age"]
    assert len(said) == (not taken)
    assert all("reads ages of 1 to 5 years" in skipped.message for skipped in said)
    words = " ".join([*choice.warnings, *(skipped.message for skipped in said)])
    assert not any(value.strip("0YMD") in words for value in header.values() if len(value) == 8)


@pytest.mark.parametrize(
    "header",
    [
        {},
        {"PatientAge": "old"},
        {"PatientBirthDate": "20200101", "StudyDate": "20190101"},
        {"PatientBirthDate": "20201301", "StudyDate": "20210101"},
    ],
)
def test_an_age_that_is_not_stated_is_said(tmp_path: Path, header: dict) -> None:
    write(tmp_path / "film", **header)
    (study,) = index([tmp_path]).studies
    choice = choose(study, Rules(selection=Selection(age=(1, 5))))
    assert choice.study.instances and "age not stated: taken as eligible" in choice.warnings
    assert not any(said.startswith("age") for said in choose(study, Rules()).warnings)
