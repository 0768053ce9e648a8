"""A training leaves a log; replaying finds every change of data, order, seed, loss or weights."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from medinv.cli.main import app
from medinv.config import Config, load_config
from medinv.errors import ConfigError, IntegrityError, ModelError
from medinv.training import log
from medinv.training.journal import snapshot_at
from medinv.training.publish import publish
from medinv.training.replay import verify_run
from medinv.training.train import Options, Trained, train

SMALL = ("data.size=16", "data.counts=[48,64,64]", "train.batch=16", "train.epochs=3")


def trained(config: Config, data, folder: Path, **options) -> Trained:
    kept = Options(log=folder, snapshots=1, **options)
    return train(config, data, checkpoint=folder / "checkpoint.pt", options=kept)


@pytest.fixture(scope="module")
def config(tiny_config) -> Config:
    recipe = tiny_config.train.model_copy(update={"epochs": 3})
    return tiny_config.model_copy(update={"train": recipe})


@pytest.fixture(scope="module")
def made(config, tiny_data, tmp_path_factory) -> Path:
    """A published run of three epochs, six steps each, with a snapshot after the second."""
    folder = tmp_path_factory.mktemp("run") / "tiny"
    done = trained(config, tiny_data, folder)
    publish(folder, done, config, tiny_data, command="test")
    return folder


@pytest.fixture
def run(made, tmp_path) -> Path:
    """A copy that may be tampered with."""
    return Path(shutil.copytree(made, tmp_path / "run"))


def rewrite(folder: Path, change) -> None:
    """Change entries, and chain them anew as a forger would."""
    path = folder / log.LOG
    words = [json.loads(line) for line in path.read_text().splitlines()]
    for each in words:
        each.pop("hash")
    change(words)
    path.unlink()
    log.append(path, [log.ENTRY.validate_python(each) for each in words], log.FIRST)


def entry(words: list[dict], kind: str, epoch: int) -> dict:
    (found,) = (each for each in words if each["entry"] == kind and each["epoch"] == epoch)
    return found


def test_an_honest_run_is_verified_in_part_and_whole(made, tiny_data) -> None:
    part = verify_run(made, tiny_data, steps=4)
    assert part.agrees and part.steps == 18 and part.steps_replayed == 8 and not part.notes
    assert [each.split(",")[0] for each in part.replayed] == ["start", "snapshots/epoch-0002.pt"]
    whole = verify_run(made, tiny_data, steps=None)
    assert whole.agrees and whole.steps_replayed == 18
    only = verify_run(made, tiny_data, steps=2, epochs=[3])
    assert only.agrees and only.steps_replayed == 2


def test_epochs_that_nothing_was_kept_before_cannot_be_replayed(made, tiny_data) -> None:
    with pytest.raises(ConfigError, match="starts of epochs 1, 3"):
        verify_run(made, tiny_data, epochs=[2])


def test_the_log_is_no_part_of_what_is_trained(config, tiny_data, made) -> None:
    plain = train(config, tiny_data)
    (*_, last) = log.read(made / log.LOG)[0]
    assert isinstance(last, log.Closed) and log.of_weights(plain.model) == last.kept


@pytest.mark.parametrize(
    "damage",
    [
        lambda lines: lines[:1] + lines[2:],
        lambda lines: [lines[0], lines[2], lines[1], *lines[3:]],
        lambda lines: [lines[0], lines[1].replace('"first": 1', '"first": 2'), *lines[2:]],
        lambda lines: [*lines[:-1], lines[-1][:-40]],
    ],
    ids=["a line taken out", "two lines exchanged", "a word changed", "a torn end"],
)
def test_a_changed_line_breaks_the_chain_and_is_named(run, tiny_data, damage) -> None:
    path = run / log.LOG
    path.write_text("\n".join(damage(path.read_text().splitlines())) + "\n")
    with pytest.raises(IntegrityError, match=r"log: line \d"):
        verify_run(run, tiny_data)


def test_other_data_are_named(made, tiny_data) -> None:
    images = tiny_data.train.images.copy()
    images[0, 0, 0, 0] ^= 1  # one bit of one pixel
    found = verify_run(made, replace(tiny_data, train=replace(tiny_data.train, images=images)))
    assert not found.agrees and found.differences[0].startswith("data:")


def test_a_seed_that_was_another_is_named(run, tiny_data) -> None:
    def forge(words: list[dict]) -> None:
        entry(words, "begin", 0)["config"]["seed"] = 7

    rewrite(run, forge)
    found = verify_run(run, tiny_data)
    assert any(each.startswith("start: the network, its seed") for each in found.differences)
    assert sum(each.startswith("order: epoch") for each in found.differences) == 3
    assert any(each.startswith("card.json: its configuration") for each in found.differences)


def test_a_loss_that_was_made_better_is_named(run, tiny_data) -> None:
    def forge(words: list[dict]) -> None:
        entry(words, "steps", 3)["cross_entropy"][1] *= 0.999

    rewrite(run, forge)
    found = verify_run(run, tiny_data)
    assert [each.split(": the")[0] for each in found.differences] == ["loss: epoch 3, step 2"]
    assert verify_run(run, tiny_data, epochs=[1]).agrees, "what is not replayed is not seen"


def test_weights_that_training_did_not_give_are_named(run, tiny_data) -> None:
    def forge(words: list[dict]) -> None:
        entry(words, "steps", 1)["weights"]["4"] = "0" * 64

    rewrite(run, forge)
    found = verify_run(run, tiny_data)
    assert [each.split(": others")[0] for each in found.differences] == ["weights: epoch 1, step 4"]


def test_published_weights_of_another_training_are_named(run, config, tiny_data, tmp_path) -> None:
    other = config.model_copy(update={"seed": 3})
    publish(run, train(other, tiny_data), config, tiny_data, command="test")
    found = verify_run(run, tiny_data)
    assert found.differences == ["weights.safetensors: not the weights of the log's end"]


def test_a_snapshot_that_was_changed_is_named(run, tiny_data) -> None:
    path = snapshot_at(run, 2)
    state = torch.load(path, weights_only=True)
    first = next(iter(state["model"].values()))
    first += 1e-6
    torch.save(state, path)
    found = verify_run(run, tiny_data)
    assert len(found.differences) == 1
    assert found.differences[0].startswith("snapshots/epoch-0002.pt: the network")


def test_another_order_of_images_is_named(run, tiny_data) -> None:
    def forge(words: list[dict]) -> None:
        entry(words, "steps", 2)["rows"] = entry(words, "steps", 1)["rows"]

    rewrite(run, forge)
    found = verify_run(run, tiny_data)
    assert len(found.differences) == 1 and found.differences[0].startswith("order: epoch 2")


def test_a_record_of_validation_is_held_against_a_whole_replay(run, tiny_data) -> None:
    def forge(words: list[dict]) -> None:
        entry(words, "epoch", 2)["record"]["validation"] = 0.999

    rewrite(run, forge)
    found = verify_run(run, tiny_data, steps=None)
    assert found.differences == ["record: epoch 2: other values of validation"]


def _pooled(configs: Path) -> Config:
    """The weights to keep are the best so far, rotations are looked for every ten steps."""
    model = "{kind: pooled, classes: [clear, opacity], mean: 95, std: 70, depths: [1, 1], "
    recipe = "{epochs: 3, batch: 8, orthogonality: 0.01, accretive: 0.2, keep: best, shift: 1}"
    more = (f"model={model} hidden: [8, 16]}}", f"train={recipe}", "reference=null")
    return load_config(configs / "phantom-opacity.yaml", (*SMALL, *more))


@pytest.mark.parametrize("kind", ["density", "pooled"])
def test_runs_that_were_left_and_killed_are_verified_too(
    kind, config, configs, tiny_data, tmp_path
) -> None:
    """Left within an epoch, then killed when the log was ahead of the checkpoint, then ended."""
    chosen = config if kind == "density" else _pooled(configs)
    asked = iter(range(1000))
    with pytest.raises(KeyboardInterrupt):
        trained(chosen, tiny_data, tmp_path, stop=lambda: next(asked) == 3)
    earlier = (tmp_path / "checkpoint.pt").read_bytes()
    asked = iter(range(1000))
    with pytest.raises(KeyboardInterrupt):
        trained(chosen, tiny_data, tmp_path, stop=lambda: next(asked) == 4)
    (tmp_path / "checkpoint.pt").write_bytes(earlier)
    with open(tmp_path / log.LOG, "a") as stream:
        stream.write('{"entry": "st')
    trained(chosen, tiny_data, tmp_path)
    found = verify_run(tmp_path, tiny_data, steps=None)
    assert found.agrees and found.steps_replayed == found.steps
    assert sum(isinstance(each, log.Begin) for each in log.read(tmp_path / log.LOG)[0]) == 3


def test_a_run_that_starts_anew_does_not_go_on_with_an_old_log(run, config, tiny_data) -> None:
    (run / "checkpoint.pt").unlink()
    trained(config, tiny_data, run)
    assert verify_run(run, tiny_data).steps == 18


def test_the_command_says_what_was_found_and_ends_with_its_code(run, tiny_data, monkeypatch):
    monkeypatch.setattr("medinv.data.sets.load.load_images", lambda *_, **__: tiny_data)
    good = CliRunner().invoke(app, ["verify-run", str(run), "--steps", "2"])
    assert good.exit_code == 0 and "VERIFIED BY REPLAY: 4 of 18 steps" in good.stdout

    def forge(words: list[dict]) -> None:
        entry(words, "steps", 1)["cross_entropy"][0] += 1e-6

    rewrite(run, forge)
    bad = CliRunner().invoke(app, ["verify-run", str(run), "--steps", "2"])
    assert bad.exit_code == 1 and "DIFFERS           loss: epoch 1, step 1" in bad.stdout
    assert "NOT VERIFIED" in bad.stdout


def test_a_folder_without_a_log_is_refused(tmp_path, tiny_data) -> None:
    with pytest.raises(ModelError, match="left no log"):
        verify_run(tmp_path, tiny_data)
