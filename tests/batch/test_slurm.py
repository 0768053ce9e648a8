"""The script for Slurm, with a stand-in for sbatch that runs what it is given at once."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "configs" / "deploy" / "slurm.sh"
SBATCH = f"""#!{sys.executable}
import os, subprocess, sys
words = sys.argv[1:]
given = dict(word.lstrip("-").split("=", 1) for word in words if "=" in word and word[:2] == "--")
first, last = given.get("array", "0-0").split("-")
line, running = words[words.index("--wrap") + 1], []
for part in range(int(first), int(last) + 1):
    log = open(given["output"].replace("%a", str(part)), "w")
    environment = {{**os.environ, "SLURM_ARRAY_TASK_ID": str(part)}}
    running.append(subprocess.Popen(["bash", "-c", line], env=environment, stdout=log, stderr=log))
for one in running:
    one.wait()
print(4711 if "array" in given else given["dependency"].replace("afterany:", "behind-"))
"""


@pytest.fixture
def environment(tmp_path) -> dict[str, str]:
    stand_in = tmp_path / "bin" / "sbatch"
    stand_in.parent.mkdir()
    stand_in.write_text(SBATCH)
    stand_in.chmod(0o755)
    path = os.pathsep.join((str(stand_in.parent), os.environ["PATH"]))
    return {**os.environ, "PATH": path, "MEDINV": f"{sys.executable} -m medinv"}


def _submit(environment, *words: object) -> subprocess.CompletedProcess:
    line = ["bash", str(SCRIPT), *map(str, words)]
    return subprocess.run(line, env=environment, capture_output=True, text=True, timeout=900)


def test_two_parts_side_by_side_are_joined_with_one_page_of_reports(
    environment, write_film, tiny_folder, tmp_path
):
    studies, out = tmp_path / "in put", tmp_path / "out"
    for study in range(1, 4):
        write_film(studies / f"{study}.dcm", study)
    words = ("--parts", 2, "--out", out, "--", studies, "--model", tiny_folder, "--report")
    done = _submit(environment, *words)
    assert done.returncode == 0, done.stderr
    assert "job 4711, 1 to 2" in done.stdout and "behind-4711" in done.stdout
    record = json.loads((out / "run.json").read_text())
    assert record["joined_shards"] == 2 and record["counts"]["rows"] == 3
    assert "order" not in record
    with (out / "results.csv").open() as stream:
        assert len(list(csv.DictReader(stream))) == 3
    page = (out / "index.html").read_text()
    rows = [json.loads(line) for line in (out / "results.jsonl").read_text().splitlines()]
    reports = [row["report"] for row in rows if row["report"]]
    assert reports and all((out / one).is_file() and one in page for one in reports)


def test_a_line_that_lacks_something_is_refused_before_anything_is_submitted(environment, tmp_path):
    for words in ((), ("--out", tmp_path), ("--parts", 2, "--", "in"), ("--odd", 1)):
        done = _submit(environment, *words)
        assert done.returncode == 2 and "--parts 8 --out" in done.stderr
