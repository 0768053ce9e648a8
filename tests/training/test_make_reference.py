"""What a model keeps of its training images is made by training, whatever the model is called."""

import json
import os
import subprocess
import sys
from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest
import torch

from medinv.config import ComposeConfig, ReferenceConfig
from medinv.errors import ConfigError
from medinv.models.build import build
from medinv.models.depths import mean_states, steps
from medinv.models.store import load
from medinv.training.reference import _cases, default_depths, make_reference


@pytest.fixture(scope="module")
def reference(tiny_model, tiny_config, tiny_data):
    settings = ReferenceConfig(axes=4, cases=20, transport=5, expectation=6)
    config = tiny_config.model_copy(update={"reference": settings})
    return make_reference(deepcopy(tiny_model), config, tiny_data, "hash")


def test_a_model_of_composed_images_keeps_where_its_region_lies(
    tiny_model, tiny_config, tiny_data
) -> None:
    assert make_reference(deepcopy(tiny_model), tiny_config, tiny_data, "hash").region is None
    recipe = tiny_config.train.model_copy(update={"compose": ComposeConfig()})
    config = tiny_config.model_copy(update={"train": recipe})
    region = make_reference(deepcopy(tiny_model), config, tiny_data, "hash").region
    films = torch.from_numpy(tiny_data.test.images[:4])
    inside = region.inside(films)
    assert inside.shape == films.shape and 0.02 < inside.float().mean() < 0.6


def test_it_holds_cases_of_each_class_and_averages_over_them(
    reference, tiny_model, tiny_data
) -> None:
    metadata = reference.metadata
    rows = _cases(tiny_data.train.labels, 20)
    images, labels = tiny_data.train.images[rows], tiny_data.train.labels[rows]
    assert metadata.cases == 20 and metadata.axes == 4 and metadata.weights_sha256 == "hash"
    assert metadata.training_set.startswith("20 of the training images of phantoms")
    assert reference.labels.tolist() == labels.tolist()
    negative = torch.from_numpy(images[labels == 0])
    assert torch.allclose(reference.class_means[0], negative.float().mean(0))
    x = torch.from_numpy(images).double()
    coarse = tiny_model.features(x)[:, : tiny_model.coarse].detach()
    assert torch.allclose(reference.project(coarse), reference.points, atol=1e-3)
    assert torch.allclose(reference.points.std(0), torch.ones(4), atol=1e-4)
    states = mean_states(tiny_model.trunk, [negative.double()], default_depths(tiny_model))
    for name, state in states.items():
        assert torch.allclose(reference.states[name], state.float(), atol=1e-3)
    assert set(reference.states) == set(states)


def test_a_set_in_the_order_of_its_classes_has_cases_of_all_of_them() -> None:
    labels = np.repeat([0, 1, 2], [50, 40, 1])
    assert np.bincount(labels[_cases(labels, 18)]).tolist() == [10, 8, 1]
    assert _cases(labels, None).tolist() == list(range(91))


def test_the_first_axis_is_the_difference_of_the_class_means(reference, tiny_model) -> None:
    direction = (tiny_model.means[1] - tiny_model.means[0]).detach().flatten().float()
    assert torch.allclose(reference.axes[0], direction / direction.norm(), atol=1e-5)


def test_what_it_gives_away_is_measured(reference) -> None:
    metadata = reference.metadata
    assert 0 < metadata.recovered_best_axes < 1
    assert metadata.recovered_least_squares <= metadata.recovered_best_axes + 0.05
    assert metadata.rms_nearest < metadata.rms_chance and 0 <= metadata.agreement <= 1
    assert 0 < metadata.typical_distance[0] <= metadata.typical_distance[1]


def test_counterfactual_grounds_only_where_the_configuration_asks(
    reference, tiny_model, tiny_config, tiny_data
) -> None:
    assert reference.transport.axes.shape == (1024, 5)
    assert reference.expectation.axes.shape == (1024, 6)
    plain = tiny_config.model_copy(update={"reference": None})
    bare = make_reference(deepcopy(tiny_model), plain, tiny_data, "hash")
    assert bare.transport is None and bare.expectation is None and bare.metadata.cases == 96


def test_depths_are_chosen_or_named(tiny_model, tiny_config, tiny_data, configs) -> None:
    from medinv.config import load_config

    assert default_depths(tiny_model) == ("level 2, layer 4: AffineCoupling",)
    shipped = build(load_config(configs / "phantom-opacity.yaml"))
    assert default_depths(shipped) == tuple(load("phantom-opacity").reference.states)
    one = ReferenceConfig(depths=("level 1, layer 9: Nothing",))
    with pytest.raises(ConfigError, match="layer 9: Nothing"):
        make_reference(
            tiny_model, tiny_config.model_copy(update={"reference": one}), tiny_data, "hash"
        )
    assert {step.name for step in steps(tiny_model.trunk)} >= set(default_depths(tiny_model))


def test_a_trained_model_has_local_evidence_wherever_one_stands(configs, samples, tmp_path) -> None:
    """By command: trained into runs/NAME-SEED, then a study reported from another folder."""

    def medinv(*words: str, cwd: Path) -> str:
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
        command = [sys.executable, "-m", "medinv", *words]
        done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    changes = (
        "name=tiny",
        "data.size=16",
        "data.counts=[48,64,64]",
        "model.depths=[1,1]",
        "model.hidden=[8,8]",
        "train.epochs=1",
        "train.batch=16",
        "train.shift=1",
        "reference={axes: 4}",
    )
    overrides = [word for change in changes for word in ("--set", change)]
    config = str(configs / "phantom-opacity.yaml")
    said = medinv("train", config, *overrides, cwd=tmp_path)
    model = tmp_path / "runs" / "tiny-0"
    assert "model: runs/tiny-0" in said and (model / "cases.safetensors").is_file()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    study = next(path for path in sorted((samples / "studies").iterdir()) if path.is_dir())
    medinv(
        *("classify", str(study), "--model", str(model), "--report", "--out", "out"), cwd=elsewhere
    )
    (report,) = elsewhere.glob("out/reports/**/report.json")
    explained = json.loads(report.read_text())
    found = json.dumps(explained)
    assert '"local_evidence": {' in found and '"nearest": {' in found
    assert not any(path.name != "elsewhere" and path.name != "runs" for path in tmp_path.iterdir())
