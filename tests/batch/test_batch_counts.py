"""Whatever is handed in and whatever befalls it, the counts add up to the files given."""

from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from medinv.batch.options import Options
from medinv.batch.run import run
from medinv.data.dicom.index import index

KINDS = (
    "whole",
    "cut in its pixels",
    "cut in its header",
    "not DICOM",
    "named, but not DICOM",
    "twice",
    "of another modality",
)
FILES = st.lists(
    st.tuples(st.sampled_from(KINDS), st.integers(1, 4), st.integers(1, 2)), min_size=1, max_size=7
)  # an empty folder counts as one that was skipped


def _put(folder: Path, number: int, kind: str, study: int, series: int, write_film) -> None:
    film = write_film(folder / f"{number}.dcm", study, number, series)
    data = film.read_bytes()
    if kind == "cut in its pixels":
        film.write_bytes(data[:-1000])
    elif kind == "cut in its header":
        film.write_bytes(data[:600])
    elif kind == "not DICOM":
        film.rename(film.with_suffix(".txt")).write_text("notes")
    elif kind == "named, but not DICOM":
        film.write_text("rubbish")
    elif kind == "twice":
        (folder / f"{number} again.dcm").write_bytes(data)
    elif kind == "of another modality":
        film.write_bytes(
            data.replace(b"CS\x02\x00DX", b"CS\x02\x00MR").replace(b"CS\x02\x00CR", b"CS\x02\x00MR")
        )


@given(files=FILES, most=st.sampled_from((None, 0)))
@settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_counts_add_up(files, most, write_film, phantom, tmp_path_factory) -> None:
    folder = tmp_path_factory.mktemp("in")
    for number, (kind, study, series) in enumerate(files, start=1):
        _put(folder, number, kind, study, series, write_film)
    summary = run(
        index([folder]), [phantom], Options(tmp_path_factory.mktemp("out"), max_failures=most)
    )
    counts, on_disk = summary.counts, sum(1 for path in folder.iterdir())
    assert (
        counts["images"]
        + counts["skipped_files"]
        + counts["broken_files"]
        + counts["unreached_files"]
        == counts["files"]
        == on_disk
    )
    assert (
        counts["classified"] + counts["out_of_scope"] + counts["failed"] + counts["skipped"]
        == counts["rows"]
        == len(summary.results)
    )
    listed = [item.source for row in summary.results for item in (*row.skipped, *row.broken)] + [
        path for row in summary.results for path in {instance.path for instance in row.instances}
    ]
    assert len(listed) == len(set(listed)) == on_disk - counts["unreached_files"]
