"""Public sets as their publishers pack them become npz files that `medinv prepare` reads."""

import hashlib
import importlib
import pickle
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import typer
from prepare_runs import run

from medinv.cli.main import app
from medinv.config import load_config
from medinv.data.sets.prepared import read_set
from pipelines.datasets import cifar10, controls

CONFIGS = sorted(Path(__file__).parents[2].glob("configs/*.yaml"))
SAID = re.compile(r"^\s*# ((?:medinv prepare|python -m) .*)$", re.M)


@pytest.fixture
def packed(tmp_path, monkeypatch) -> Path:
    """Two images a file in the shape of the published archive, with the checksums to match."""
    folder = tmp_path / cifar10.FOLDER
    folder.mkdir()
    sums = {}
    for i, name in enumerate(cifar10.MD5):
        images = np.arange(2 * 3072).reshape(2, 3072) * 7 % 241 + np.array([[i], [i + 9]])
        content = pickle.dumps({b"data": images.astype(np.uint8), b"labels": [i % 2, (i + 1) % 2]})
        (folder / name).write_bytes(content)
        sums[name] = hashlib.md5(content).hexdigest()
    monkeypatch.setattr(cifar10, "MD5", sums)
    return folder


def test_batches_become_a_set_in_colour_with_the_published_test_part(packed, tmp_path) -> None:
    np.savez(tmp_path / "split.npz", **cifar10.split(cifar10.batches(packed), validation=4))
    run(tmp_path, "split.npz", labels=None, size=None, colour=True, classes=("cat", "dog"))
    data = read_set(tmp_path / "set").data
    assert [len(part) for part in (data.train, data.validation, data.test)] == [6, 4, 2]
    held = pickle.loads((packed / "test_batch").read_bytes())
    assert np.array_equal(data.test.images, held[b"data"].reshape(-1, 3, 32, 32))
    assert data.test.labels.tolist() == held[b"labels"]


def test_a_changed_batch_is_not_opened(packed) -> None:
    (packed / "data_batch_2").write_bytes(b"\x80\x04cos\nsystem\n.")
    with pytest.raises(ValueError, match="not the published file"):
        cifar10.batches(packed)


def test_an_npz_as_keras_names_it_is_read_and_validation_drawn(tmp_path) -> None:
    rng = np.random.default_rng(0)
    arrays = {
        f"x_{part}": rng.integers(0, 255, (40, 16, 16), np.uint8) for part in ("train", "test")
    }
    np.savez(tmp_path / "k.npz", **arrays, y_train=np.arange(40) % 2, y_test=np.arange(40) % 2)
    info = run(tmp_path, "k.npz", labels=None, size=None).info
    assert info.counts["test"] == {"0": 20, "1": 20} and info.counts["validation"] == {
        "0": 2,
        "1": 2,
    }


def test_a_given_test_part_stays_whole_where_training_contradicts_it(tmp_path) -> None:
    rng = np.random.default_rng(0)
    arrays = {
        f"{part}_images": rng.integers(0, 255, (12, 16, 16), np.uint8)
        for part in ("train", "val", "test")
    }
    arrays["train_images"][0] = arrays["test_images"][1]
    arrays["val_images"][0] = arrays["val_images"][1]
    labels = {f"{part}_labels": np.arange(12) % 2 for part in ("train", "val", "test")}
    np.savez(tmp_path / "m.npz", **arrays, **labels)
    made = run(tmp_path, "m.npz", labels=None, size=None)
    sums = {part: sum(counts.values()) for part, counts in made.info.counts.items()}
    assert sums == {"training": 11, "validation": 10, "test": 12}
    assert made.info.refused == {"contradictory-images": 3}


def test_a_marker_goes_with_the_label_of_most_bodies() -> None:
    part = controls.marker(24, controls.SEEDS[0])
    plain = controls.sham(24, controls.SEEDS[0])
    lettered = (part.images.astype(int) != plain.images).any((1, 2, 3))
    assert (lettered == part.labels).mean() > 0.7
    assert sorted(plain.labels) == sorted(part.labels) and (plain.labels != part.labels).any()


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_the_commands_that_a_configuration_names_make_its_set(path) -> None:
    """Options that are there, a folder that is the configuration's, modules that are there."""
    commands = [shlex.split(text) for text in SAID.findall(path.read_text())]
    if path.stem in ("network", "routes") or load_config(path).data.set != "prepared":
        return
    config = load_config(path)
    prepare = typer.main.get_command(app).commands["prepare"]
    compose = config.train.compose
    others = {f"$MEDINV_DATA/{compose.negatives}"} if compose and compose.negatives else set()
    made = set()
    for words in commands:
        if words[:2] == ["medinv", "prepare"]:
            given = prepare.make_context("prepare", words[2:], resilient_parsing=False).params
            made.add(str(given["out"]))
            if str(given["out"]) in others:
                assert given["size"] == str(config.data.size)
                continue
            assert str(given["out"]) == f"$MEDINV_DATA/{config.data.folder}"
            classes = given["classes"] or ",".join(config.model.classes)
            assert tuple(classes.split(",")) == config.model.classes
            assert given["colour"] == (config.model.channels == 3)
        else:
            assert importlib.import_module(words[2]).main
    assert any(words[0] == "medinv" for words in commands), "no command makes this set"
    assert others <= made, "no command makes the other people's images"
