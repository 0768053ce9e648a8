"""Whose image it is: enough of a header to tell two patients apart, and nothing that names one.

PatientID decides, within its issuer; name and birth date support it. Values are kept as keyed
hashes that can be compared within one process and be read back by nobody.
"""

import hashlib
import os
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from medinv.data.dicom.charset import decoded
from medinv.data.dicom.fields import Fields

KEYWORDS = ("PatientID", "IssuerOfPatientID", "PatientName", "PatientBirthDate")
_KEY = os.urandom(32)  # of this process and the readers that are sent its instances
_MOST_SPELLINGS = 64  # of one patient's name and birth date in one study


@dataclass(frozen=True, repr=False)
class Patient:
    """Hashes of what a header says; None or empty where it says nothing."""

    id: str | None = None
    id_as_written: str | None = None  # with its case and spaces, which `id` leaves out
    issuer: str | None = None
    name: frozenset[str] = frozenset()  # of its words, accents and order left out
    birth_date: str | None = None

    @property
    def stated(self) -> bool:
        """Whether the header names anybody."""
        return bool(self.id or self.name)


NOBODY = Patient()


@dataclass(frozen=True)
class Judgement:
    """Whether headers can be of one patient. Says nothing of the values."""

    conflict: str | None = None  # why they are of two
    warnings: tuple[str, ...] = ()


def read_patient(fields: Fields) -> Patient:
    """Of a header. A name or ID whose characters cannot all be read leaves a warning."""
    terms = fields.texts("SpecificCharacterSet")
    return _patient(*(_text(fields, keyword, terms) for keyword in KEYWORDS))


def patient_id(text: str) -> str | None:
    """A PatientID from elsewhere, such as a list of labels, as `Patient.id` holds it."""
    return _hash("id", _plain(" ".join(text.split())))


@lru_cache(1 << 8)  # headers of a series repeat it
def _patient(number: str, issuer: str, name: str, born: str) -> Patient:
    words = _plain(name).translate(_BREAKS).split()
    return Patient(
        id=_hash("id", _plain(number)),
        id_as_written=_hash("written", number),
        issuer=_hash("issuer", _plain(issuer)),
        name=frozenset(filter(None, (_hash("name", word) for word in words))),
        birth_date=_hash("birth", re.sub(r"\D", "", born)),
    )


def judge(patients: Iterable[Patient]) -> Judgement:
    """Of the headers of one study.

    Two patients: other PatientIDs, other issuers of one, or where the ID is one or not stated,
    names without a word in common that no equal birth date supports.
    """
    distinct = list(dict.fromkeys(patients))
    for values, what in (
        ({one.id for one in distinct if one.id}, "PatientIDs"),
        ({one.issuer for one in distinct if one.id and one.issuer}, "issuers of one PatientID"),
    ):
        if len(values) > 1:
            return Judgement(f"{len(values)} {what}")
    spellings = list(dict.fromkeys((one.name, one.birth_date, one.id is None) for one in distinct))
    if len(spellings) > _MOST_SPELLINGS:
        return Judgement(f"more than {_MOST_SPELLINGS} names and birth dates")
    for k, one in enumerate(spellings):
        for other in spellings[k + 1 :]:
            if conflict := _conflict(one, other):
                return Judgement(conflict)
    return Judgement(None, _doubts(distinct))


_Spelling = tuple[frozenset[str], str | None, bool]


def _conflict(one: _Spelling, other: _Spelling) -> str | None:
    """Names and birth dates of two headers whose PatientID is the same, or stated by one at
    most."""
    (name, born, without), (name2, born2, without2) = one, other
    names_differ = bool(name and name2) and not name & name2
    births_differ = bool(born and born2) and born != born2
    births_agree = bool(born and born2) and born == born2
    unsupported = without or without2
    if names_differ and births_differ:
        return "other names and birth dates under one PatientID"
    if names_differ and (unsupported or not births_agree):
        return "other names, and no PatientID and birth date that agree"
    if births_differ and unsupported:
        return "other birth dates, and no PatientID that agrees"
    return None


def _doubts(patients: list[Patient]) -> tuple[str, ...]:
    """What differs though it is taken for one patient."""
    stated = [one for one in patients if one.stated]
    said = (
        (len({one.id for one in patients}) > 1, "some files state no PatientID"),
        (
            len({one.id_as_written for one in stated if one.id}) > 1,
            "the PatientID is written in several ways",
        ),
        (len({one.issuer for one in stated}) > 1, "some files state no issuer of the PatientID"),
        (
            len({one.name for one in stated if one.name}) > 1,
            "the patient's name is spelled in several ways",
        ),
        (
            len({one.birth_date for one in stated if one.birth_date}) > 1,
            "files state several birth dates",
        ),
    )
    return tuple(f"{text}: taken for one patient" for holds, text in said if holds)


_BREAKS = dict.fromkeys(map(ord, "^=,.-'_;"), " ")


def _text(fields: Fields, keyword: str, terms: tuple[str, ...]) -> str:
    element = fields.raw(keyword)
    if element is None:
        return ""
    value = decoded(element, terms)
    if value.warning and value.warning not in fields.warnings:
        fields.warnings.append(value.warning)
    return " ".join(value.text.split())


def _plain(text: str) -> str:
    """Without case, accents, width, and delimiters at the end, so that spellings of one value
    are equal."""
    apart = unicodedata.normalize("NFKD", text)
    bare = "".join(letter for letter in apart if not unicodedata.combining(letter))
    return bare.casefold().strip(" ^=\0")


def _hash(kind: str, text: str) -> str | None:
    if not text:
        return None
    content = f"{kind}\0{text}".encode("utf-8", "surrogatepass")
    return hashlib.blake2b(content, key=_KEY, digest_size=16).hexdigest()
