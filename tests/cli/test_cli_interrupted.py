"""Ctrl-C pressed more than once, and folders whose names look like markup."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from medinv.cli.show import until_interrupted


@pytest.mark.parametrize("seconds", [0.02, 0.3])
def test_ctrl_c_pressed_again_and_again_loses_nothing_and_shows_no_traceback(
    samples, tmp_path, seconds
) -> None:
    out = tmp_path / "o[bold]u[/red][link=t"
    words = ["classify", samples / "studies", "--model", "phantom-opacity", "--out", out]
    process = subprocess.Popen(
        [sys.executable, "-m", "medinv", *map(str, words), "--readers", "1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    log, deadline = out / "run.log", time.monotonic() + 120
    while not (log.is_file() and ": ok" in log.read_text()) and time.monotonic() < deadline:
        time.sleep(0.005)
    for _ in range(3):
        process.send_signal(signal.SIGINT)
        time.sleep(seconds)
    said, complaints = process.communicate(timeout=120)
    assert "Traceback" not in said + complaints
    assert process.returncode in (130, -signal.SIGINT) or "8 classified" in said
    record = json.loads((out / "run.json").read_text())
    assert record["counts"]["rows"] == len((out / "results.jsonl").read_text().splitlines()) > 0
    if process.returncode == 130:
        assert str(out / "results.jsonl") in said or "interrupted" in complaints


# Ctrl-C as the model is loaded: whatever the command, and however quick the machine.
AT_ITS_MODEL = """
import os, signal
from medinv.models import store
store._network = lambda *_, **__: os.kill(os.getpid(), signal.SIGINT)
from medinv.cli.main import main
main()
"""


@pytest.mark.parametrize("command", ["explain", "verify"])
def test_a_command_that_is_interrupted_says_so(samples, tmp_path, command) -> None:
    """Not in silence, as the library that reads the words would end it."""
    words = [command, samples / "studies" / "study-01", "--model", "phantom-opacity"]
    words += ["--out", tmp_path / "out"] if command == "explain" else []
    process = subprocess.Popen(
        [sys.executable, "-c", AT_ITS_MODEL, *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    said, complaints = process.communicate(timeout=120)
    assert process.returncode == 130 and "Traceback" not in said + complaints
    assert "medinv: interrupted" in complaints and not list(tmp_path.iterdir())


def test_what_is_said_of_an_interrupted_run_is_not_cut_off() -> None:
    """Pressed again as the summary is said, which comes after what had to be kept."""
    before = {one: signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)}
    try:
        with pytest.raises(KeyboardInterrupt), until_interrupted():
            os.kill(os.getpid(), signal.SIGINT)
        for one in before:
            os.kill(os.getpid(), one)
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
