"""The files of configs/deploy: the entry point by each contract, and what the others name."""

import importlib.util
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pydicom
import pytest

import medinv

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "configs" / "deploy"
# The fields of a module in mercure's configuration, and of the manifests of a MONAI package.
MERCURE = {
    "docker_tag", "additional_volumes", "environment", "docker_arguments", "settings", "contact",
    "comment", "constraints", "resources", "requires_root", "requires_persistence",
    "network_enabled",
}  # fmt: skip
# What mercure itself gives to the container's start: given twice, nothing starts.
MERCURES_OWN = {"mounts", "volumes", "environment", "network_mode", "user", "group_add", "detach"}


@pytest.fixture(scope="module")
def entry():
    """The entry point as a module."""
    spec = importlib.util.spec_from_file_location("entrypoint", DEPLOY / "entrypoint.py")
    made = importlib.util.module_from_spec(spec)
    sys.modules["entrypoint"] = made  # where its dataclass looks for its annotations
    spec.loader.exec_module(made)
    return made


def _read(name):
    return json.loads((DEPLOY / name).read_text())


def _started(words, environment):
    """The entry point in a process of its own, with nothing of ours but where medinv lies."""
    return subprocess.run(
        [sys.executable, DEPLOY / "entrypoint.py", *words],
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1"}
        | environment,
        capture_output=True,
        text=True,
        timeout=300,
    )


def test_mercure_finds_dicom_results_and_what_came_of_them(samples, tmp_path):
    given, out = tmp_path / "in", tmp_path / "out"
    given.mkdir()
    out.mkdir()
    film = pydicom.dcmread(samples / "studies" / "study-03" / "radiograph.dcm")
    film.save_as(given / f"{film.SeriesInstanceUID}#{film.SOPInstanceUID}.dcm")
    (given / "film.tags").write_text("{}")
    settings = {"model": "phantom-opacity"}
    (given / "task.json").write_text(json.dumps({"id": "1", "process": {"settings": settings}}))
    done = _started([], {"MERCURE_IN_DIR": str(given), "MERCURE_OUT_DIR": str(out)})
    assert done.returncode == 0, done.stderr
    written = [pydicom.dcmread(path) for path in sorted(out.glob("*.dcm"))]
    assert written and {one.StudyInstanceUID for one in written} == {film.StudyInstanceUID}
    assert "SR" in {one.Modality for one in written}
    said = json.loads((out / "result.json").read_text())["medinv"]
    assert [one["status"] for one in said] == ["ok"]  # of the film, not of mercure's own files
    assert all(one["disclaimer"] == "Research use, not for diagnosis." for one in said)
    assert not {path.name for path in out.iterdir()} - {
        "result.json",
        *(f"medinv-{n:04d}.dcm" for n in range(1, len(written) + 1)),
    }


def test_a_folder_with_nothing_for_the_model_is_no_failure(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "note.txt").write_text("no image")
    done = _started(
        [str(tmp_path / "in"), str(tmp_path / "out")], {"MEDINV_MODEL": "phantom-opacity"}
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "medinv" / "results.jsonl").exists()


def test_a_model_that_is_not_there_is_one(tmp_path):
    (tmp_path / "in").mkdir()
    done = _started([str(tmp_path / "in"), str(tmp_path / "out")], {"MEDINV_MODEL": "nobody"})
    assert done.returncode == 4 and "nobody" in done.stderr


def test_a_folder_that_is_not_mounted_is_said(tmp_path):
    done = _started([str(tmp_path / "none"), str(tmp_path)], {})
    assert done.returncode == 2 and f"mount one there (-v STUDIES:{tmp_path}/none" in done.stderr


def test_who_may_not_write_is_told_who_it_is(entry, tmp_path, monkeypatch):
    task = entry.Task(tmp_path, tmp_path / "out", False)
    assert entry.refused(task) is None
    monkeypatch.setattr(os, "access", lambda path, _: Path(path) != tmp_path)
    assert f"user {os.getuid()}:{os.getgid()} may not write to {tmp_path}" in entry.refused(task)


def test_a_request_to_stop_reaches_the_command(tmp_path):
    code = (
        "import sys, entrypoint; sys.exit(entrypoint.called([sys.executable, '-c', "
        "'import time; print(1, flush=True); time.sleep(60)']))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(DEPLOY)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    process.stdout.read(1)
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) != 0 and time.monotonic() - began < 30


def test_the_manifests_are_shown(entry, monkeypatch, capsys):
    monkeypatch.setattr(entry, "MANIFESTS", DEPLOY)
    assert entry.main(["show"]) == 0
    assert '"modelRoot"' in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "environment", "given", "out", "flat"),
    [
        ([], {"MERCURE_IN_DIR": "/a", "MERCURE_OUT_DIR": "/b"}, "/a", "/b", True),
        ([], {"MONAI_INPUTPATH": "/a", "MONAI_OUTPUTPATH": "/b"}, "/a", "/b", False),
        ([], {"HOLOSCAN_INPUT_PATH": "/a", "HOLOSCAN_OUTPUT_PATH": "/b"}, "/a", "/b", False),
        (["/c", "/d"], {}, "/c", "/d", False),
        ([], {}, "/input", "/output", False),
    ],
)
def test_the_environment_says_whose_contract_it_is(entry, words, environment, given, out, flat):
    task = entry.asked(words, environment)
    assert (task.given, task.out, task.flat) == (Path(given), Path(out), flat)


def test_settings_of_a_list_of_steps_are_the_first_ones(entry, tmp_path):
    steps = {"process": [{"settings": {"model": "one", "rule": "mean"}}, {"settings": {}}]}
    (tmp_path / "task.json").write_text(json.dumps(steps))
    task = entry.asked([], {"MERCURE_IN_DIR": str(tmp_path), "MERCURE_OUT_DIR": "/b"})
    words = entry.command(task, Path("/r"), {"MEDINV_MODEL": "two"})
    assert words[words.index("--model") + 1] == "one" and words[-2:] == ["--rule", "mean"]


def test_the_container_is_nobodys_root_and_copies_what_is_there():
    text = (DEPLOY / "Containerfile").read_text()
    assert re.search(r"^USER 10001", text, re.M) and text.rindex("USER") < text.rindex("ENTRYPOINT")
    for sources in re.findall(r"^COPY (?!--from)(.+) \S+$", text, re.M):
        for name in sources.split():
            assert (ROOT / name).exists(), name
    assert "/opt/medinv/entrypoint.py" in text


def test_mercure_starts_it_as_nobodys_root_and_without_a_network():
    (module,) = _read("mercure.json").values()
    assert set(module) == MERCURE
    assert module["requires_root"] is False and module["network_enabled"] is False
    assert not MERCURES_OWN & set(json.loads(module["docker_arguments"] or "{}"))
    text = (DEPLOY / "Containerfile").read_text()  # where mercure sees a package that needs root
    assert not re.search(r"^[^#].*/etc/monai", text, re.M)


def test_the_manifests_name_what_the_container_holds():
    app, package = _read("app.json"), _read("pkg.json")
    text = (DEPLOY / "Containerfile").read_text()
    (entrypoint,) = re.findall(r"^ENTRYPOINT (.+)$", text, re.M)
    assert shlex.split(app["command"]) == json.loads(entrypoint)
    assert re.search(
        r"^COPY configs/deploy/app.json configs/deploy/pkg.json /etc/holoscan/$", text, re.M
    )
    for kind in ("input", "output"):
        folder = app["environment"][f"HOLOSCAN_{kind.upper()}_PATH"]
        assert folder == app["workingDirectory"] + app[kind]["path"]
    shipped = Path(medinv.__file__).parent / "models" / "shipped"
    assert "/opt/medinv/models" in text and package["modelRoot"] == "/opt/medinv/models/"
    assert {one["path"] for one in package["models"]} == {
        card.parent.name for card in shipped.glob("*/card.json")
    }
    for told in (app["sdkVersion"], app["version"], package["version"]):
        assert told == medinv.__version__


def test_the_command_of_xnat_is_closed_in_itself():
    command = _read("xnat-command.json")
    assert command["version"] == medinv.__version__ and command["schema-version"] == "1.0"
    mounts = {mount["name"]: mount for mount in command["mounts"]}
    assert not mounts["in"]["writable"] and mounts["out"]["writable"]
    line = command["command-line"]
    assert all(mount["path"] in line for mount in mounts.values())
    keys = {f"#{one['name']}#" for one in command["inputs"]}
    assert set(command["environment-variables"].values()) <= keys
    outputs = {one["name"]: one["mount"] for one in command["outputs"]}
    assert set(outputs.values()) <= set(mounts)
    for wrapper in command["xnat"]:
        inputs = {one["name"] for one in wrapper["external-inputs"]}
        for one in wrapper["external-inputs"]:
            assert one["provides-files-for-command-mount"] in mounts
        for handler in wrapper["output-handlers"]:
            assert handler["accepts-command-output"] in outputs
            assert handler["as-a-child-of"] in inputs
