"""What became of every file: counts that add up."""

from collections import Counter
from collections.abc import Iterable
from itertools import groupby
from typing import Any

from medinv.analysis.aggregate import OUT_OF_SCOPE
from medinv.data.dicom.index import Index, Study


def count(
    rows: Iterable[tuple[int, dict[str, Any]]], found: Index, mine: frozenset[int], models: int
) -> dict[str, int]:
    """Counts of rows, sorted by the position of their study, and of the files of the studies at the positions `mine`.

    rows = classified + out_of_scope + failed + skipped; files = images + skipped_files + broken_files + unreached_files. A file counts as broken
    if it was so for any model, as skipped if it was so for all, as unreached if its study has no row or, as an image, not a row of every model.
    """
    counts, reached = Counter(), set()
    for position, group in groupby(rows, key=lambda item: item[0]):
        of_study = [row for _, row in group]
        reached.add(position)
        counts.update(_row_counts(of_study))
        counts.update(_file_counts(found.studies[position], of_study, len(of_study) == models))
    for position in mine - reached:
        counts["unreached_files"] += _size(found.studies[position])
    files = sum(_size(study) for study in found.studies)
    of_mine = sum(_size(found.studies[position]) for position in mine)
    names = (
        "rows",
        "classified",
        "out_of_scope",
        "failed",
        "skipped",
        "images",
        "skipped_files",
        "broken_files",
        "unreached_files",
    )
    here = {name: counts[name] for name in names}
    return here | {
        "files": of_mine,
        "other_shards_files": files - of_mine,
        "studies": len(mine),
        "unreached_studies": len(mine - reached),
    }


def _size(study: Study) -> int:
    return len(study.instances) + len(study.skipped) + len(study.broken)


def _row_counts(rows: list[dict[str, Any]]) -> Counter[str]:
    kinds = Counter(_kind(row) for row in rows)
    return kinds + Counter(rows=len(rows))


def _kind(row: dict[str, Any]) -> str:
    if row["status"] != "ok":
        return row["status"]
    return "out_of_scope" if row["label"] == OUT_OF_SCOPE else "classified"


def _file_counts(study: Study, rows: list[dict[str, Any]], complete: bool) -> Counter[str]:
    broken = {b.source for b in study.broken} | {b["source"] for row in rows for b in row["broken"]}
    skipped = {s.source for s in study.skipped} | (
        set.intersection(*({s["source"] for s in row["skipped"]} for row in rows))
        if complete
        else set()
    )
    sources = [
        record.source
        for records in (study.instances, study.skipped, study.broken)
        for record in records
    ]
    rest = "images" if complete else "unreached_files"
    return Counter(
        "broken_files" if source in broken else "skipped_files" if source in skipped else rest
        for source in sources
    )
