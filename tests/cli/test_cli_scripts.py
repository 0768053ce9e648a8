"""What a script relies on: exit codes, errors as JSON, silence, chosen studies, quick starts."""

import json
import os
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from medinv.cli.exits import MEANING, exit_code
from medinv.cli.main import app, arranged
from medinv.cli.selection import only
from medinv.data.dicom.index import index
from medinv.errors import (
    ConfigError,
    DataError,
    IntegrityError,
    MissingDataError,
    ModelNotFoundError,
    OutputError,
    PeerError,
)
from medinv.files import pseudonym


def medinv(*words: object) -> subprocess.CompletedProcess:
    run = [sys.executable, "-m", "medinv", *map(str, words)]
    return subprocess.run(run, capture_output=True, text=True, timeout=300)


def test_every_exit_code_stands_in_the_help() -> None:
    told = CliRunner().invoke(app, ["--help"]).stdout
    for code, says in MEANING.items():
        assert f"{code:5}  {says}" in told


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (ConfigError, 2),
        (OutputError, 2),
        (ModelNotFoundError, 4),
        (IntegrityError, 4),
        (DataError, 1),
        (MissingDataError, 2),
        (PeerError, 1),
    ],
)
def test_an_error_ends_with_the_code_of_its_kind(kind, code) -> None:
    assert exit_code(kind("why")) == code


def test_the_version_is_that_of_the_package() -> None:
    from importlib.metadata import version

    told = CliRunner().invoke(app, ["--version"])
    assert told.exit_code == 0 and told.stdout == f"medinv {version('medinv')}\n"


@pytest.mark.parametrize(
    ("words", "code", "exit_"),
    [
        (["models", "nobody", "--json"], "model-not-found", 4),
        (["classify", "/gone", "-m", "chest-xray", "-o", "/tmp/x", "--json"], "config", 2),
        (["--json", "classify"], "usage", 2),
        (["--json", "no-such-command"], "usage", 2),
    ],
)
def test_errors_are_json_where_they_are_asked_for(words, code, exit_) -> None:
    done = medinv(*words)
    said = json.loads(done.stderr)
    assert done.returncode == said["exit_code"] == exit_
    assert said["error"]["code"] == code and said["error"]["message"]


def test_words_behind_two_dashes_are_left_alone() -> None:
    assert arranged(["classify", "--", "--json"]) == (["classify", "--", "--json"], False)
    assert arranged(["classify", "in", "--quiet"])[0] == ["--quiet", "classify", "in"]


def test_quiet_prints_errors_alone(tmp_path) -> None:
    (tmp_path / "note.txt").write_text("no image")
    words = ("classify", tmp_path, "-m", "phantom-opacity", "--dry-run")
    assert medinv(*words).stdout
    quiet = medinv(*words, "--quiet")
    assert (quiet.stdout, quiet.stderr, quiet.returncode) == ("", "", 3)
    assert "nobody" in medinv("models", "nobody", "--quiet").stderr


def test_completion_of_the_shell_knows_the_commands() -> None:
    asked = {"_MEDINV_COMPLETE": "complete_bash", "COMP_WORDS": "medinv cl", "COMP_CWORD": "1"}
    code = "from medinv.cli.main import app; app(prog_name='medinv')"
    told = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **asked}, capture_output=True, text=True
    )
    assert "classify" in told.stdout.split()


def test_chosen_studies_alone_are_classified(write_film, tmp_path) -> None:
    for number in (1, 2, 3):
        write_film(tmp_path / f"{number}.dcm", number)
    files = index([tmp_path])
    chosen = only(files, ["1.2.3.1", pseudonym("1.2.3.3", "study")])
    assert [study.uid for study in chosen.studies] == ["1.2.3.1", "1.2.3.3"]
    with pytest.raises(ConfigError, match="1 of 2 studies") as raised:
        only(files, ["1.2.3.1", "1.2.3.77"])
    assert "1.2.3.77" not in str(raised.value)


@pytest.mark.parametrize(
    ("words", "most"), [(["--help"], 0.3), (["models"], 0.5), (["models", "--json"], 0.5)]
)
def test_what_only_tells_starts_at_once(words, most) -> None:
    """In processor seconds of the best of three, so that a busy machine changes little."""
    code = (
        "import subprocess, resource, sys; "
        f"subprocess.run([sys.executable, '-m', 'medinv', *{words!r}], stdout=subprocess.DEVNULL); "
        "used = resource.getrusage(resource.RUSAGE_CHILDREN); print(used.ru_utime + used.ru_stime)"
    )
    run = [sys.executable, "-c", code]
    took = [float(subprocess.run(run, capture_output=True, text=True).stdout) for _ in range(3)]
    assert min(took) < 2 * most  # twice, for slower processors than the one that it is told for
