"""A card is read without the libraries that a network needs, and says what it may be asked."""

import subprocess
import sys

import pytest

from medinv.errors import ConfigError
from medinv.models.store import read_card


def test_a_card_brings_no_heavy_library() -> None:
    code = (
        "import sys, medinv.models.card, medinv.metrics;"
        "print([m for m in ('torch', 'monai', 'sklearn', 'scipy', 'pydicom') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_rules_are_those_of_the_scope_and_the_selection() -> None:
    card = read_card("chest-xray")
    assert card.rules.modalities == card.scope.modalities and "CR" in card.rules.modalities
    assert card.rules.selection.views == ("AP", "PA")


def test_models_of_volumes_take_one_volume_of_a_study_and_ordinary_networks_none() -> None:
    card = read_card("cifar10")
    card.check_takes_studies()
    model = card.config.model.model_copy(update={"axes": 3})
    volumes = card.model_copy(update={"config": card.config.model_copy(update={"model": model})})
    volumes.check_takes_studies()
    assert (card.rules.selection.takes, volumes.rules.selection.takes) == ("images", "volume")
    with pytest.raises(ConfigError, match="cannot run backwards"):
        card.model_copy(update={"exactness": None}).check_takes_studies()


def test_a_value_prints_with_its_interval() -> None:
    auc = read_card("chest-xray").metrics["auc"]
    assert str(auc) == f"{auc.value:.3f} ({auc.low:.3f} to {auc.high:.3f})" and auc.n == 578
