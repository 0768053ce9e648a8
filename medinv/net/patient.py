"""Whether images that come in over the network are of one patient."""

from collections.abc import Iterable
from typing import NamedTuple

from pydicom import Dataset


class Patient(NamedTuple):
    """What a header says of whom it shows; empty where it says nothing."""

    number: str
    issuer: str
    name: str
    birth_date: str


def patient_of(header: Dataset) -> Patient:
    """Of a header, without case and without the spaces that DICOM pads with."""
    keywords = ("PatientID", "IssuerOfPatientID", "PatientName", "PatientBirthDate")
    texts = (" ".join(str(header.get(keyword) or "").split()) for keyword in keywords)
    number, issuer, name, birth_date = (text.casefold().rstrip("^ ") for text in texts)
    return Patient(number, issuer, name, birth_date)


def conflict(patients: Iterable[Patient]) -> str | None:
    """Why headers of one study are of two patients, without their values; else None.

    PatientID decides, within its issuer; name and birth date do where an ID is not stated, and
    where both differ.
    """
    found = list(dict.fromkeys(patients))
    pairs = [(one, other) for k, one in enumerate(found) for other in found[k + 1 :]]
    return next((why for one, other in pairs if (why := _conflict(one, other))), None)


def _conflict(one: Patient, other: Patient) -> str | None:
    def differ(a: str, b: str) -> bool:
        return bool(a and b) and a != b

    names, births = differ(one.name, other.name), differ(one.birth_date, other.birth_date)
    if differ(one.number, other.number):
        return "other PatientIDs"
    if differ(one.issuer, other.issuer):
        return "other issuers of one PatientID"
    if (names and births) or ((names or births) and not (one.number and other.number)):
        return "other names and birth dates"
    return None
