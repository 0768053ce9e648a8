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


def test_volumes_and_ordinary_networks_take_no_studies() -> None:
    card = read_card("cifar10")
    card.check_takes_studies()
    model = card.config.model.model_copy(update={"axes": 3})
    volumes = card.model_copy(update={"config": card.config.model_copy(update={"model": model})})
    with pytest.raises(ConfigError, match="cifar10 takes volumes"):
        volumes.check_takes_studies()
    with pytest.raises(ConfigError, match="cannot run backwards"):
        card.model_copy(update={"exactness": None}).check_takes_studies()


def test_a_value_prints_with_its_interval() -> None:
    auc = read_card("chest-xray").metrics["auc"]
    assert str(auc) == f"{auc.value:.3f} ({auc.low:.3f} to {auc.high:.3f})" and auc.n == 578
