"""Runs that were tampered with, as whoever has the folder could do it, and what replay says."""

import json
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from unittest import mock

import torch

from medinv.config import Config, load_config
from medinv.data.sets.labelled import LabelledImages
from medinv.data.sets.load import load_images
from medinv.errors import IntegrityError
from medinv.training import log
from medinv.training.journal import Journal, snapshot_at
from medinv.training.publish import publish
from medinv.training.replay import verify_run
from medinv.training.train import Options, train
from pipelines.record import ROOT

TINY = (
    "data.size=16", "data.counts=[48,64,64]", "model.depths=[1,1]", "model.hidden=[8,8]",
    "train.epochs=3", "train.batch=16", "train.shift=1",
)  # fmt: skip
Words = list[dict]


def config_of(seed: int, *overrides: str) -> Config:
    path = ROOT / "configs" / "phantom-opacity.yaml"
    return load_config(path, (f"seed={seed}", *overrides))


def run_of(config: Config, data: LabelledImages, folder: Path) -> None:
    """A published run with a snapshot after two of its three epochs."""
    options = Options(log=folder, snapshots=1)
    trained = train(config, data, checkpoint=folder / "checkpoint.pt", options=options)
    publish(folder, trained, config, data, command="pipelines.seeds.verifiable_training")


def _forged(change: Callable[[Words], None]) -> Callable[[Path], None]:
    """Entries changed and the whole chain made anew: the hashes alone say nothing then."""

    def forge(folder: Path) -> None:
        path = folder / log.LOG
        words = [json.loads(line) for line in path.read_text().splitlines()]
        for each in words:
            del each["hash"]
        change(words)
        path.unlink()
        log.append(path, [log.ENTRY.validate_python(each) for each in words], log.FIRST)

    return forge


def _steps(words: Words, epoch: int) -> dict:
    return next(each for each in words if (each["entry"], each["epoch"]) == ("steps", epoch))


def _line_changed(folder: Path) -> None:
    path = folder / log.LOG
    path.write_text(path.read_text().replace('"first": 1', '"first": 2', 1))


def _snapshot_changed(folder: Path) -> None:
    path = snapshot_at(folder, 2)
    state = torch.load(path, weights_only=True)
    next(iter(state["model"].values())).add_(1e-6)
    torch.save(state, path)


def _seed(words: Words) -> None:
    words[0]["config"]["seed"] += 1


def _order(words: Words) -> None:
    _steps(words, 2)["rows"] = _steps(words, 1)["rows"]


def _loss(words: Words) -> None:
    _steps(words, 3)["cross_entropy"][1] *= 0.999


def _weights(words: Words) -> None:
    _steps(words, 1)["weights"]["4"] = "0" * 64


FORGERIES: dict[str, tuple[str, Callable[[Path], None]]] = {
    "a word of the log changed, hashes left": ("log", _line_changed),
    "another seed named, chain made anew": ("start", _forged(_seed)),
    "another order named, chain made anew": ("order", _forged(_order)),
    "a loss 0.1 % lower, chain made anew": ("loss", _forged(_loss)),
    "another hash of weights, chain made anew": ("weights", _forged(_weights)),
    "one weight of the snapshot + 1e-6": ("snapshots", _snapshot_changed),
}
"""What is done to the folder of a run, and the word by which it must be named."""


def _said(folder: Path, data: LabelledImages) -> list[str]:
    try:
        return verify_run(folder, data, steps=8).differences
    except IntegrityError as error:
        return [error.message]


def judged(seed: int) -> dict[str, tuple[bool, str]]:
    """Of one seed, by tampering: whether it was rejected and named rightly, and the words.

    Of the honest run whether nothing was found, in part and in whole.
    """
    config = config_of(seed, *TINY)
    data = load_images(config.data)
    with tempfile.TemporaryDirectory() as place:
        honest = Path(place) / "honest"
        run_of(config, data, honest)
        found = [verify_run(honest, data, steps=steps).differences for steps in (8, None)]
        told = {"none": (found == [[], []], "nothing differs")}
        images = data.train.images.copy()
        images[seed, 0, 0, 0] ^= 1
        other = replace(data, train=replace(data.train, images=images))
        told["one bit of one training image"] = _verdict("data", _said(honest, other))
        for what, (named, change) in FORGERIES.items():
            copy = Path(shutil.copytree(honest, Path(place) / "copy"))
            change(copy)
            told[what] = _verdict(named, _said(copy, data))
            shutil.rmtree(copy)
        another = train(config.model_copy(update={"seed": seed + 100}), data)
        publish(honest, another, config, data, command="pipelines.seeds.verifiable_training")
        told["published weights of another seed"] = _verdict("weights", _said(honest, data))
    return told


def _verdict(named: str, differences: list[str]) -> tuple[bool, str]:
    return any(each.startswith(named) for each in differences), "; ".join(differences[:1])


@dataclass(frozen=True)
class Cost:
    """Processor seconds of a training of some steps, and of its log and its replay."""

    parameters: int
    steps: int
    training: float
    logging: float
    replaying: float  # of `replayed` steps, with loading and hashing the data
    replayed: int
    log_bytes: int
    snapshot_bytes: int


def cost(config: Config, data: LabelledImages, replayed: int) -> Cost:
    """An epoch of a configuration, and `replayed` of its steps done again."""
    spent = 0.0

    def timed(method: Callable) -> Callable:
        def call(*arguments):
            nonlocal spent
            before = time.process_time()
            value = method(*arguments)
            spent += time.process_time() - before
            return value

        return call

    with (
        tempfile.TemporaryDirectory() as place,
        mock.patch.multiple(
            Journal, **{name: timed(getattr(Journal, name)) for name in ("step", "write", "close")}
        ),
    ):
        folder, began = Path(place), time.process_time()
        options = Options(log=folder)
        trained = train(config, data, checkpoint=folder / "checkpoint.pt", options=options)
        training = time.process_time() - began
        began = time.process_time()
        found = verify_run(folder, data, steps=replayed)
        replaying = time.process_time() - began
        if not found.agrees:
            raise RuntimeError("; ".join(found.differences))
        return Cost(
            parameters=sum(p.numel() for p in trained.model.parameters()),
            steps=found.steps,
            training=training - spent,
            logging=spent,
            replaying=replaying,
            replayed=found.steps_replayed,
            log_bytes=(folder / log.LOG).stat().st_size,
            snapshot_bytes=(folder / "checkpoint.pt").stat().st_size,
        )
