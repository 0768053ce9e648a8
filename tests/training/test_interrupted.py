"""Runs that are left within an epoch, taken up again, made longer, or started from a bad file."""

import os
import pickle
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from medinv.config import Config, load_config
from medinv.errors import ConfigError, ModelError
from medinv.training.train import Options, Trained, train

SMALL = ("data.size=16", "data.counts=[48,64,64]", "train.batch=16", "train.epochs=2")


def _pooled(configs: Path) -> Config:
    """Kernels held accretive, whose rotations are looked for every ten steps alone."""
    recipe = "{epochs: 2, batch: 8, orthogonality: 0.01, accretive: 0.2, keep: best, shift: 1}"
    model = "{kind: pooled, classes: [clear, opacity], mean: 95, std: 70, depths: [1, 1], "
    return load_config(
        configs / "phantom-opacity.yaml",
        (*SMALL, f"model={model} hidden: [8, 16]}}", f"train={recipe}", "reference=null"),
    )


def _own_transforms(tiny_config: Config) -> Config:
    entries = (
        {"name": "RandRotated", "keys": "image", "range_x": 0.2, "prob": 0.7},
        {"name": "RandGaussianNoised", "keys": ["image"], "std": 4.0},
    )
    recipe = tiny_config.train.model_copy(update={"transforms": entries})
    return tiny_config.model_copy(update={"train": recipe})


@pytest.fixture(params=["density", "pooled", "transforms"])
def config(request, configs, tiny_config) -> Config:
    return {
        "density": lambda: tiny_config,
        "pooled": lambda: _pooled(configs),
        "transforms": lambda: _own_transforms(tiny_config),
    }[request.param]()


def _stopping_after(steps: int) -> Options:
    asked = iter(range(10_000))
    return Options(stop=lambda: next(asked) + 1 == steps)


def _same(one: Trained, other: Trained) -> bool:
    pairs = zip(one.model.state_dict().values(), other.model.state_dict().values(), strict=True)
    # What calibration fits is not there yet: the bound of a scope is not a number.
    return all(torch.equal(a.nan_to_num(), b.nan_to_num()) for a, b in pairs)


def test_a_run_left_twice_within_epochs_has_the_weights_of_one_that_was_not(
    config, tiny_data, tmp_path
) -> None:
    whole, path = train(config, tiny_data), tmp_path / "checkpoint.pt"
    for steps in (3, 4):  # into the first epoch, and on: over its end where it has six steps
        with pytest.raises(KeyboardInterrupt):
            train(config, tiny_data, checkpoint=path, options=_stopping_after(steps))
    said: list[str] = []
    resumed = train(config, tiny_data, checkpoint=path, options=Options(say=said.append))
    assert _same(whole, resumed) and said[0].startswith("going on after epoch")
    assert [e.cross_entropy for e in whole.epochs] == [e.cross_entropy for e in resumed.epochs]


def test_processes_that_read_ahead_change_nothing(tiny_config, tiny_data) -> None:
    config = _own_transforms(tiny_config)
    ahead = train(config, tiny_data, options=Options(workers=2))
    assert _same(train(config, tiny_data), ahead)


def test_a_checkpoint_comes_within_an_epoch(tiny_config, tiny_data, tmp_path) -> None:
    path, there = tmp_path / "checkpoint.pt", []
    options = Options(step=lambda step: there.append(path.is_file()), minutes=0.0)
    train(tiny_config, tiny_data, checkpoint=path, options=options)
    assert there[1]


def test_a_finished_run_goes_on_with_more_epochs_and_not_with_fewer(
    tiny_config, tiny_data, tmp_path
) -> None:
    path, said = tmp_path / "checkpoint.pt", list[str]()
    train(tiny_config, tiny_data, checkpoint=path)

    def of(epochs: int) -> Config:
        recipe = tiny_config.train.model_copy(update={"epochs": epochs})
        return tiny_config.model_copy(update={"train": recipe})

    longer = train(of(3), tiny_data, checkpoint=path, options=Options(say=said.append))
    assert len(longer.epochs) == 3
    assert "2 -> 3" in said[1] and "of its height" in said[1]
    with pytest.raises(ConfigError, match="done 3 of 3 epochs already"):
        train(of(2), tiny_data, checkpoint=path)


def test_other_images_are_not_gone_on_with(tiny_config, tiny_data, tmp_path) -> None:
    path = tmp_path / "checkpoint.pt"
    train(tiny_config, tiny_data, checkpoint=path)
    darker = replace(tiny_data.train, images=tiny_data.train.images // 2)
    with pytest.raises(ModelError, match="other images"):
        train(tiny_config, replace(tiny_data, train=darker), checkpoint=path)


class _Planted:
    """Runs code when it is unpickled."""

    def __reduce__(self):
        return os.mkdir, (_Planted.folder,)


def test_a_checkpoint_that_is_none_is_refused_and_runs_no_code(
    tiny_config, tiny_data, tmp_path
) -> None:
    path = tmp_path / "checkpoint.pt"
    _Planted.folder = str(tmp_path / "planted")
    torch.save({"format": 2, "belongs": _Planted()}, path)
    plain = pickle.dumps({"format": 2, "belongs": _Planted()})
    for content in (path.read_bytes(), plain, b"", b"no checkpoint"):
        path.write_bytes(content)
        with pytest.raises(ModelError, match="checkpoint"):
            train(tiny_config, tiny_data, checkpoint=path)
    assert not Path(_Planted.folder).exists()
    torch.save({"config": "0" * 64, "epochs": []}, path)
    with pytest.raises(ModelError, match="another version of medinv; remove it"):
        train(tiny_config, tiny_data, checkpoint=path)
