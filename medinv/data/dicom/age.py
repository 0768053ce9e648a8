"""How old a patient was, by the header."""

import re
from datetime import date

from medinv.data.dicom.fields import Fields

YEAR = 365.2425  # days
_UNITS = {"D": 1 / YEAR, "W": 7 / YEAR, "M": 1 / 12, "Y": 1.0}
_OLDEST = 150  # years; beyond it a header is in error


def age(fields: Fields) -> float | None:
    """Years, by PatientAge or, without one, by the dates of birth and study.

    None where neither says so or both dates contradict each other.
    """
    stated = re.fullmatch(r"(\d{1,3})([DWMY])", (fields.text("PatientAge") or "").strip().upper())
    if stated:
        return int(stated[1]) * _UNITS[stated[2]]
    born, studied = (_date(fields.text(key)) for key in ("PatientBirthDate", "StudyDate"))
    if born is None or studied is None:
        return None
    # A birthday not yet reached takes a year off: completed years are counted, not days divided.
    years = studied.year - born.year - ((studied.month, studied.day) < (born.month, born.day))
    return float(years) if 0 <= years <= _OLDEST else None


def _date(text: str | None) -> date | None:
    digits = re.fullmatch(r"(\d{4})[.-]?(\d{2})[.-]?(\d{2})", (text or "").strip())
    if not digits:
        return None
    try:
        return date(*map(int, digits.groups()))
    except ValueError:
        return None
