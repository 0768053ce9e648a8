"""Many studies through several models: each by itself, none lost."""

import platform
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path

from medinv.batch.results import Results
from medinv.batch.study import OUT_OF_SCOPE, Outcome, classify_study
from medinv.data.dicom.index import Index, Study
from medinv.errors import MedinvError, OutputError
from medinv.models.classifier import Classifier


@dataclass(frozen=True)
class Options:
    """How to run."""

    out: Path
    report: bool = False
    phi: bool = False
    overwrite: bool = False


@dataclass(frozen=True)
class Summary:
    """What a run came to. `rows` are those of results.jsonl."""

    rows: tuple[dict, ...]
    counts: dict[str, int]
    interrupted: bool

    @property
    def exit_code(self) -> int:
        """0 all classified, 1 some failed, 3 nothing eligible, 130 interrupted."""
        if self.interrupted:
            return 130
        if self.counts["failed"] or self.counts["broken_files"]:
            return 1
        return 0 if self.counts["classified"] else 3


def run(found: Index, models: Sequence[Classifier], options: Options, *, on_study: Callable[[dict], None] = lambda row: None) -> Summary:
    """Classify every study of `found` with every model and write the results folder. Ctrl-C keeps all that is done."""
    results = Results(options.out, overwrite=options.overwrite)
    start, began, interrupted = time.monotonic(), datetime.now(timezone.utc).isoformat(timespec="seconds"), False
    try:
        for study in found.studies:
            for model in models:
                row = _one(study, model, options)
                results.add(row)
                on_study(row)
    except KeyboardInterrupt:
        interrupted = True
    counts = _counts(results.rows, found)
    record = {
        "began": began,
        "seconds": round(time.monotonic() - start, 2),
        "interrupted": interrupted,
        "counts": counts,
        "models": [{"name": m.card.name, "sha256": m.card.weights_sha256, "config_sha256": m.card.config_sha256, "data_sha256": m.card.data_sha256} for m in models],
        "device": "CPU, float64",
        "seed": None,
        "phi": options.phi,
        "versions": {"python": platform.python_version(), **{n: version(n) for n in ("medinv", "torch", "monai", "pydicom", "numpy")}},
        "disclaimer": "Research use, not for diagnosis.",
    }
    results.finish(record)
    if options.report:
        _write_index(results.rows, options.out)
    return Summary(tuple(results.rows), counts, interrupted)


def _one(study: Study, model: Classifier, options: Options) -> dict:
    outcome = classify_study(study, model, phi=options.phi, keep_images=options.report)
    if options.report:
        _write_report(outcome, model, options.out)
    return outcome.row


def _write_report(outcome: Outcome, model: Classifier, out: Path) -> None:
    """A report that cannot be made is a warning in the row; one that cannot be written ends the run, as no other could be either."""
    from medinv.batch.pages import write_study_report

    try:
        outcome.row["report"] = write_study_report(outcome, model, out)
    except OutputError:
        raise
    except MedinvError as error:
        outcome.row["warnings"].append(f"no report: {error.code}: {error.message}")


def _write_index(rows: list[dict], out: Path) -> None:
    from medinv.report.entries import index_entry
    from medinv.report.html import write_index

    write_index([index_entry(row, row.get("report")) for row in rows], out / "index.html")


def _counts(rows: Sequence[dict], found: Index) -> dict[str, int]:
    statuses = Counter(row["status"] for row in rows)
    classified = sum(row["status"] == "ok" and row["label"] != OUT_OF_SCOPE for row in rows)
    files = found.counts()
    return {
        "rows": len(rows),
        "classified": classified,
        "out_of_scope": statuses["ok"] - classified,
        "failed": statuses["failed"],
        "skipped": statuses["skipped"],
        "files": files["files"],
        "images": files["instances"],
        "skipped_files": files["skipped"],
        "broken_files": len({b["source"] for row in rows for b in row["broken"]}),
        "studies": len(found.studies),
    }
