"""Ctrl-C pressed more than once, and folders whose names look like markup."""

import json
import signal
import subprocess
import sys
import time

import pytest


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
