"""What a container of medinv runs: studies of one folder in, results into another.

Whose contract it is, the environment says:

    mercure        MERCURE_IN_DIR, MERCURE_OUT_DIR; settings in task.json (process, settings);
                   DICOM results flat in the folder, what came of them in result.json
    MONAI Deploy   HOLOSCAN_INPUT_PATH and HOLOSCAN_OUTPUT_PATH, or the MONAI_... ones;
                   the whole results folder; `entrypoint.py show` prints the manifests
    XNAT, by hand  entrypoint.py INPUT OUTPUT, by default /input /output; the whole results folder

Settings: `model` (also MEDINV_MODEL), `rule`, `report`. A study that holds nothing for the model is
no failure of the container: it ends with 0 and says so. A request to stop ends it between studies.
Research use, not for diagnosis.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

USAGE = 2
NOTHING_ELIGIBLE = 3
RESULTS = "results.jsonl"
MANIFESTS = Path("/etc/holoscan")
PAIRS = (
    ("MERCURE_IN_DIR", "MERCURE_OUT_DIR"),
    ("MONAI_INPUTPATH", "MONAI_OUTPUTPATH"),
    ("HOLOSCAN_INPUT_PATH", "HOLOSCAN_OUTPUT_PATH"),
)


@dataclass(frozen=True)
class Task:
    """What is asked: flat is the contract that takes single DICOM files."""

    given: Path
    out: Path
    flat: bool
    settings: Mapping[str, Any] = field(default_factory=dict)


def asked(words: Sequence[str], environment: Mapping[str, str]) -> Task:
    """The folders, by the contract whose variables are set."""
    for source, target in PAIRS:
        if source in environment and target in environment:
            given, mercure = Path(environment[source]), source == "MERCURE_IN_DIR"
            return Task(given, Path(environment[target]), mercure, _settings(given))
    given, out = words if len(words) == 2 else ("/input", "/output")
    return Task(Path(given), Path(out), False)


def _settings(folder: Path) -> Mapping[str, Any]:
    """Of mercure's task.json, which holds one processing step or a list of them."""
    path = folder / "task.json"
    if not path.is_file():
        return {}
    steps = json.loads(path.read_text("utf-8")).get("process") or {}
    step = steps[0] if isinstance(steps, list) else steps
    return step.get("settings") or {}


def command(task: Task, out: Path, environment: Mapping[str, str]) -> list[str]:
    """The words of the command."""
    model = task.settings.get("model") or environment.get("MEDINV_MODEL", "chest-xray")
    words = ["classify", str(task.given), "--model", str(model), "--out", str(out), "--dicom"]
    words += ["--rule", str(task.settings["rule"])] if task.settings.get("rule") else []
    words += ["--report"] if not task.flat or task.settings.get("report") else []
    return [sys.executable, "-m", "medinv", *words]


def run(task: Task, environment: Mapping[str, str]) -> int:
    """Classify, hand over; returns the exit code."""
    if problem := refused(task):
        print(f"medinv: {problem}", file=sys.stderr)
        return USAGE
    if not task.flat:
        code = called(command(task, task.out / "medinv", environment))
        return 0 if code == NOTHING_ELIGIBLE else code
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "results"
        code = called(command(task, folder, environment))
        if code in (0, 1, NOTHING_ELIGIBLE) and (folder / RESULTS).is_file():
            hand_over(folder, task.out)
        return 0 if code == NOTHING_ELIGIBLE else code


def refused(task: Task) -> str | None:
    """What is wrong with the folders, in words, or nothing: who starts a container mounts them."""
    if not task.given.is_dir():
        place = f"{task.given}: mount one there (-v STUDIES:{task.given}:ro)"
        return f"no folder of studies is mounted at {place}"
    out = task.out if task.out.exists() else task.out.parent
    if not os.access(out, os.W_OK | os.X_OK):
        return (
            f"user {os.getuid()}:{os.getgid()} may not write to {task.out}: mount a folder there "
            "that this user owns, or start the container as its owner (--user UID:GID)"
        )
    return None


def called(words: Sequence[str]) -> int:
    """The exit code of a command. It is asked to end where this process is, as the first process of
    a container that otherwise would not hear of it."""
    # what a shell starts in the background ignores it, and so would the command
    signal.signal(signal.SIGINT, signal.default_int_handler)
    process = subprocess.Popen(words)
    before = signal.signal(signal.SIGTERM, lambda *_: process.send_signal(signal.SIGINT))
    try:
        return process.wait()
    finally:
        signal.signal(signal.SIGTERM, before)


def hand_over(folder: Path, out: Path) -> None:
    """The DICOM results, numbered since names may repeat, and what came of each study."""
    lines = (folder / RESULTS).read_text("utf-8").splitlines()
    results = [json.loads(line) for line in lines]
    files = [folder / place for result in results for place in result["dicom"]]
    for number, path in enumerate(files, start=1):
        shutil.copyfile(path, out / f"medinv-{number:04d}.dcm")
    told = ("study_uid", "status", "label", "probabilities", "model", "warnings", "disclaimer")
    # mercure's own files, its task and the tags of each image, are no studies
    studies = [one for one in results if (one["error"] or {}).get("code") != "not-dicom"]
    said = [{name: result[name] for name in told} for result in studies]
    (out / "result.json").write_text(json.dumps({"medinv": said}, indent=1), "utf-8")


def main(words: Sequence[str]) -> int:
    """The command."""
    if list(words) == ["show"]:
        for path in sorted(MANIFESTS.glob("*.json")):
            print(f"{path}\n{path.read_text('utf-8')}")
        return 0
    return run(asked(words, os.environ), os.environ)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
