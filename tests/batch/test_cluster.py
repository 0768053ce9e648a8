"""Studies on a Ray cluster: the rows of one machine, whatever becomes of the workers."""

import csv
import os
import sys
from pathlib import Path

import pytest

from medinv.batch.cluster import RayEngine, RayWork, begin
from medinv.batch.options import Options
from medinv.batch.run import run
from medinv.data.dicom.index import index
from medinv.errors import MedinvError
from medinv.models.store import load

ray = pytest.importorskip("ray", reason="ray is not installed: pip install 'medinv[ray]'")


@pytest.fixture(scope="module")
def cluster():
    """Two workers on this machine."""
    begin(ray, num_cpus=4)
    yield
    ray.shutdown()


def _table(folder: Path) -> list[dict[str, str]]:
    with (folder / "results.csv").open() as stream:
        return [{**row, "seconds": ""} for row in csv.DictReader(stream)]


def _run(folder: Path, model, out: Path, *, on_study=lambda result: None, **options):
    return run(index([folder]), [model], Options(out, readers=1, **options), on_study=on_study)


@pytest.fixture
def workers(monkeypatch) -> list:
    """Those that are started, in order."""
    started, starter = [], RayWork._starter

    def noting(work: RayWork):
        start = starter(work)

        def one():
            started.append(start())
            return started[-1]

        return one

    monkeypatch.setattr(RayWork, "_starter", noting)
    return started


def test_a_cluster_that_loses_workers_halfway_gives_the_table_of_one_machine(
    cluster, workers, twenty, tiny_folder, tmp_path
):
    model, killed = load(tiny_folder), []

    def kill_all_once(result) -> None:  # one has just sent its studies, the other is amid its own
        if not killed:
            killed.extend(workers)
            for worker in killed:
                ray.kill(worker)

    alone = _run(twenty, model, tmp_path / "alone")
    summary = _run(twenty, model, tmp_path / "out", engine=RayEngine(), on_study=kill_all_once)
    assert len(killed) == 2 and len(workers) > 2
    assert summary.counts == alone.counts and summary.stopped is None
    assert _table(tmp_path / "out") == _table(tmp_path / "alone")


def _deadly(result, card, folder) -> dict:
    """Of one study it takes the worker with it."""
    if any("deadly" in image.path for image in result.instances):
        os._exit(1)
    return {}


def test_a_study_that_kills_every_worker_fails_by_name_and_costs_no_other(
    cluster, workers, write_film, tiny_folder, tmp_path
):
    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])  # workers have no tests
    folder = tmp_path / "in"
    for study in range(1, 4):
        write_film(folder / ("deadly.dcm" if study == 2 else f"{study}.dcm"), study)
    summary = _run(
        folder, load(tiny_folder), tmp_path / "out", engine=RayEngine(), renderers={"x": _deadly}
    )
    (failed,) = (row for row in summary.results if row.status == "failed")
    assert failed.broken[0].source.endswith("deadly.dcm")
    assert failed.error.code == "crashed" and "3 workers" in failed.error.message
    assert summary.counts["rows"] == 3 and len(workers) > 3


class _Unknown:
    """What no worker can unpickle."""

    def __call__(self, result, card, folder) -> dict:
        return {}

    def __reduce__(self):
        return _import, ("a_package_that_workers_lack",)


def test_a_cluster_whose_workers_cannot_start_says_so(cluster, write_film, tiny_folder, tmp_path):
    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
    write_film(tmp_path / "in" / "1.dcm", 1)
    with pytest.raises(MedinvError, match=r"does not start on the cluster.*a_package"):
        _run(
            tmp_path / "in",
            load(tiny_folder),
            tmp_path / "out",
            engine=RayEngine(),
            renderers={"x": _Unknown()},
        )


def _import(name: str):
    return __import__(name)


def test_a_cluster_that_is_not_there_is_said(write_film, tiny_folder, tmp_path):
    write_film(tmp_path / "in" / "1.dcm", 1)
    if ray.is_initialized():
        ray.shutdown()
    with pytest.raises(MedinvError, match=r"no Ray cluster is found at 127\.0\.0\.1:1 "):
        _run(tmp_path / "in", load(tiny_folder), tmp_path / "out", engine=RayEngine("127.0.0.1:1"))
