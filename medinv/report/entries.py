"""The lines of a batch's index page, from results rows alone."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from medinv.report import strings
from medinv.report.content import OUT_OF_SCOPE


@dataclass(frozen=True)
class IndexEntry:
    """One line of a batch's index: a study as one model sees it."""

    study_uid: str | None
    model: str
    status: str
    label: str | None
    positive_class: str | None
    probability: float | None  # of the positive class
    images: int
    flags: tuple[str, ...]
    href: str | None


def index_entry(row: Mapping[str, Any], href: str | None = None) -> IndexEntry:
    """One line of the index from a results row; href: the study's report, relative to the index page, or None."""
    in_scope = row.get("label") not in (None, OUT_OF_SCOPE)
    named = (
        list(row["probabilities"].items())
        if in_scope and isinstance(row.get("probabilities"), Mapping)
        else []
    )
    positive = named[1] if len(named) > 1 else (None, None)
    return IndexEntry(
        study_uid=row.get("study_uid"),
        model=str((row.get("model") or {}).get("name", "")),
        status=row["status"],
        label=row["label"] if in_scope else None,
        positive_class=positive[0],
        probability=positive[1],
        images=len(row.get("instances") or ()),
        flags=_flags(row, in_scope),
        href=href,
    )


def _flags(row: Mapping[str, Any], in_scope: bool) -> tuple[str, ...]:
    reconstruction, error = row.get("reconstruction"), row.get("error")
    outside = sum(instance.get("label") == OUT_OF_SCOPE for instance in row.get("instances") or ())
    flags = [
        strings.counted(outside, strings.FLAG_OUTSIDE) if in_scope else "",
        strings.FLAG_NOT_EXACT if reconstruction and not reconstruction["exact"] else "",
        strings.counted(len(row.get("broken") or ()), strings.FLAG_BROKEN),
        strings.counted(len(row.get("skipped") or ()), strings.FLAG_SKIPPED),
        strings.counted(len(row.get("warnings") or ()), strings.FLAG_WARNING),
        f"{error['code']}: {error['message']}" if error else "",
    ]
    return tuple(flag for flag in flags if flag)
