"""What became of every file: counts that add up."""

from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import groupby

from medinv.analysis.result import OUT_OF_SCOPE, StudyResult
from medinv.batch.options import sources
from medinv.data.dicom.records import Index, Study

NAMES = (
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


def count(
    results: Iterable[tuple[int, StudyResult]], index: Index, mine: frozenset[int], models: int
) -> dict[str, int]:
    """Counts of results, in the order of their studies, and of the files of the studies `mine`.

    rows = classified + out_of_scope + failed + skipped;
    files = images + skipped_files + broken_files + unreached_files.

    A file counts as broken if it was so for any model, as skipped if it was so for all, as
    unreached if its study has no result or, as an image, not one of every model.
    """
    counts: Counter[str] = Counter()
    reached = set()
    for study_index, group in groupby(results, key=lambda item: item[0]):
        of_study = [result for _, result in group]
        reached.add(study_index)
        counts.update(rows=len(of_study))
        counts.update(_kind(result) for result in of_study)
        complete = len(of_study) == models
        counts.update(_file_counts(index.studies[study_index], of_study, complete))
    unreached = mine - reached
    counts["unreached_files"] += sum(len(sources(index.studies[i])) for i in unreached)
    files = sum(len(sources(study)) for study in index.studies)
    of_mine = sum(len(sources(index.studies[i])) for i in mine)
    return {name: counts[name] for name in NAMES} | {
        "files": of_mine,
        "other_shards_files": files - of_mine,
        "studies": len(mine),
        "unreached_studies": len(unreached),
    }


def not_read(counts: Mapping[str, int]) -> str:
    """The end of a sentence on a run: how many files no model was shown; empty where none."""
    kinds = (("skipped_files", "left out"), ("broken_files", "unreadable"))
    said = ", ".join(f"{counts[name]} files {what}" for name, what in kinds if counts[name])
    return f"; {said}" if said else ""


def _kind(result: StudyResult) -> str:
    if result.status != "ok":
        return result.status
    return "out_of_scope" if result.label == OUT_OF_SCOPE else "classified"


def _file_counts(study: Study, results: list[StudyResult], complete: bool) -> Counter[str]:
    broken = {one.source for one in study.broken}
    broken |= {one.source for result in results for one in result.broken}
    skipped = {one.source for one in study.skipped}
    if complete:
        skipped |= set.intersection(*({one.source for one in r.skipped} for r in results))
    rest = "images" if complete else "unreached_files"
    return Counter(
        "broken_files" if source in broken else "skipped_files" if source in skipped else rest
        for source in sources(study)
    )
