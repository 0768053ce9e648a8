"""`medinv init` and `medinv train` as a user runs them, on three kinds of generated shapes."""

import csv
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from medinv.data.prepare.write import Content, write_set
from medinv.data.sets.info import About

CLASSES = ("bar", "disc", "square")
COUNTS = {"training": 48, "validation": 24, "test": 24}
SMALL = ("model.depths=[1,1]", "model.hidden=[8,8]", "train.batch=8", "train.epochs=2")


def _shape(number: int, generator: np.random.Generator) -> np.ndarray:
    """(1, 16, 16) uint8."""
    row, column = generator.uniform(5, 11, 2)
    y, x = abs(np.mgrid[:16, :16] - np.array([row, column])[:, None, None])
    inside = (y < 5) & (x < 2), y**2 + x**2 < 16, (y < 3) & (x < 3)
    return (
        (generator.normal(90, 10, (1, 16, 16)) + 90 * inside[number]).clip(0, 255).astype("uint8")
    )


@pytest.fixture(scope="module")
def shapes(tmp_path_factory) -> Path:
    """A set of three classes."""
    generator, folder = np.random.default_rng(0), tmp_path_factory.mktemp("own") / "shapes"
    splits = [part for part, count in COUNTS.items() for _ in range(count)]
    labels = [CLASSES[i % 3] for i in range(len(splits))]
    images = np.stack([_shape(i % 3, generator) for i in range(len(splits))])
    content = Content(images, labels, splits, [f"p{i}" for i in range(len(splits))])
    about = About(name="Shapes", source="generated here", command="medinv prepare here")
    write_set(folder, content, about)
    return folder


def _medinv(*words: object, cwd: Path, launcher: tuple[str, ...] = ()) -> str:
    command = [sys.executable, *launcher, "-m", "medinv", *map(str, words)]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def _small(*more: str) -> list[str]:
    return [word for change in (*SMALL, *more) for word in ("--set", change)]


def _curve(folder: Path) -> list[float]:
    with open(folder / "metrics.csv") as stream:
        return [float(row["cross_entropy"]) for row in csv.DictReader(stream)]


@pytest.fixture(scope="module")
def config(shapes) -> Path:
    """What `init` writes beside the set."""
    said = _medinv("init", "shapes", cwd=shapes.parent)
    assert "s an epoch" in said and "the inverse of one image" in said and "pooled head" in said
    return shapes.parent / "shapes.yaml"


def test_a_configuration_is_not_written_over(config) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "medinv", "init", "shapes", "--no-measure"],
        cwd=config.parent, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 2 and "is there already" in done.stderr


def test_classes_in_another_order_than_the_set_has_are_refused_before_training(config) -> None:
    """Their label numbers would go by other names."""
    other = ("--set", "model.classes=[disc,bar,square]")
    done = subprocess.run(
        [sys.executable, "-m", "medinv", "train", config, *other],
        cwd=config.parent, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 2 and "in its order, bar, disc, square" in done.stderr


def test_from_a_set_to_a_model_left_by_ctrl_c_on_the_way(config, tmp_path) -> None:
    out, words = tmp_path / "model", ["train", str(config), *_small("train.epochs=40")]
    process = subprocess.Popen(
        [sys.executable, "-m", "medinv", *words, "--out", str(out)],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 600
    while not (out / "metrics.csv").is_file() and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    complaints = process.communicate(timeout=300)[1]
    assert process.returncode == 130 and "Traceback" not in complaints
    assert "goes on from there" in complaints and "TensorBoard" in complaints
    done = len(_curve(out))
    assert 1 <= done < 40 and not (out / "card.json").exists()
    said = _medinv("train", config, *_small(f"train.epochs={done + 1}"), "-o", out, cwd=tmp_path)
    assert "going on after epoch" in said and f"40 -> {done + 1}" in said
    assert len(_curve(out)) == done + 1
    card = (out / "card.json").read_text()
    assert "generated here" in card and "medinv prepare here" in card


@pytest.mark.parametrize("kind", ["density", "pooled"])
def test_two_processes_give_the_curve_and_the_model_of_one(shapes, tmp_path, kind) -> None:
    _medinv("init", shapes, "--no-measure", "--kind", kind, "-o", "c.yaml", cwd=tmp_path)
    changes = _small("model.hidden=[8,16]", "train.noise=2")
    _medinv("train", "c.yaml", *changes, "-o", "one", cwd=tmp_path)
    launcher = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
    _medinv("train", "c.yaml", *changes, "-o", "two", cwd=tmp_path, launcher=launcher)
    one, two = _curve(tmp_path / "one"), _curve(tmp_path / "two")
    assert len(two) == 2 and two == pytest.approx(one, rel=2e-3)
    assert (tmp_path / "two" / "card.json").is_file()
