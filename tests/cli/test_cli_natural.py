"""A natural-image model from the command line: trained, measured anew,
certified on its own test images, and told from films.
"""

import numpy as np
import pytest
from typer.testing import CliRunner

from medinv.cli.main import app
from medinv.config import load_config

SMALL = (
    "model.depths=[1,1]",
    "model.hidden=[12,16]",
    "train.epochs=1",
    "train.batch=20",
    "train.bfloat16=false",
    "train.warmup=0",
    "train.average=0.0",
)


@pytest.fixture(scope="module")
def folder(configs, tmp_path_factory):
    """A model trained on ten kinds of flat colours in the shape of CIFAR-10, prepared from an npz;
    MEDINV_DATA holds for the whole module.
    """
    place, generator = tmp_path_factory.mktemp("data"), np.random.default_rng(0)
    colours = generator.integers(20, 236, (10, 1, 1, 3))
    arrays = {}
    for name, count in (("train", 80), ("val", 60), ("test", 30)):
        labels = np.arange(count) % 10
        noise = generator.integers(-15, 16, (count, 32, 32, 3))
        arrays |= {
            f"{name}_images": (colours[labels] + noise).astype(np.uint8),
            f"{name}_labels": labels,
        }
    np.savez(place / "colours.npz", **arrays)
    recipe = load_config(configs / "cifar10.yaml")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MEDINV_DATA", str(place))
        out, classes = str(place / recipe.data.folder), ",".join(recipe.model.classes)
        given = [str(place / "colours.npz"), "--classes", classes, "--colour", "--out", out]
        result = CliRunner().invoke(app, ["prepare", *given])
        assert result.exit_code == 0, result.output
        given = ["train", str(configs / "cifar10.yaml"), "--out", str(place / "model")] + [
            part for one in SMALL for part in ("--set", one)
        ]
        result = CliRunner().invoke(app, given)
        assert result.exit_code == 0, result.output
        assert (
            "accuracy" in result.output and "decoded exactly    1.0000 in float64" in result.output
        )
        yield place / "model"


def test_it_is_measured_anew_as_its_card_says(folder) -> None:
    result = CliRunner().invoke(app, ["evaluate", "-m", str(folder)])
    assert (
        result.exit_code == 0 and "accuracy" in result.output and "sensitivity" not in result.output
    )


def test_every_test_image_is_certified(folder) -> None:
    result = CliRunner().invoke(app, ["verify", "-m", str(folder)])
    assert result.exit_code == 0 and "CERTIFIED: 30 of 30 images" in result.output


def test_films_are_out_of_its_scope(folder, samples, tmp_path) -> None:
    """Ten kinds of flat colours: a grey radiograph is not even read, as its rules say nothing."""
    films = str(samples / "studies" / "study-01")
    given = ["classify", films, "-m", str(folder), "--out", str(tmp_path / "out")]
    result = CliRunner().invoke(app, given)
    assert result.exit_code == 3 and "1 grey" in result.output, result.output
