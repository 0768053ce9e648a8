"""What composed films are for: a network that learns from them answers by the lungs, not by what
surrounds them.
"""

import numpy as np
import pytest
import torch
from chests import SIZE, chests
from torch import Tensor
from torch.nn import functional as F

from medinv.config import Config, load_config
from medinv.data.compose import Composer
from medinv.data.prepare.write import Content, write_set
from medinv.data.sets.info import About
from medinv.data.sets.labelled import LabelledImages, Part
from medinv.errors import ConfigError
from medinv.metrics import auc
from medinv.models.base import Calibrated
from medinv.models.build import build
from medinv.training.composed import composed_loss, composer_of, films_ahead, films_at, unsteadiness
from medinv.training.silence import silence
from medinv.training.train import train


@pytest.fixture(scope="module")
def films() -> tuple[LabelledImages, Tensor]:
    """Films, and the lungs of those for validation."""
    made = [chests(count, seed) for seed, count in enumerate((96, 40, 8))]
    parts = [
        Part(images.numpy(), labels.numpy(), 1000 * seed + np.arange(len(labels)))
        for seed, (images, labels, _) in enumerate(made)
    ]
    return LabelledImages(*parts), made[1][2]


def config(configs, compose: str) -> Config:
    settings = ("model.depths=[2,2,2,2]", "model.hidden=[8,8,16,16]", "train.epochs=8")
    plain = ("train.average=0.9", "train.shift=0", "train.gain=0", "train.offset=0")
    steps = ("train.batch=16", "train.warmup=1", "train.cross_entropy=0.15")
    steps += ("train.start=null", "train.blend=0", "train.learning_rate=0.002")
    steps += ("train.blend_with=null", "train.silent=false")
    path = configs / "chest-xray.yaml"
    return load_config(
        path, (f"data.size={SIZE}", *settings, *plain, *steps, f"train.compose={compose}")
    )


class BrightnessAlone(Calibrated):
    """A network that calls bright images ill, whatever is bright in them."""

    def __init__(self):
        super().__init__(("normal", "ill"))
        self.unused = torch.nn.Parameter(torch.zeros(()))

    def logits(self, x: Tensor) -> Tensor:
        bright = (x.mean((1, 2, 3)) - 120) / 10
        return torch.stack([torch.zeros_like(bright), bright], 1)


@torch.no_grad()
def right_in_another_surround(model: Calibrated, part: Part, lungs: Tensor) -> float:
    """Share of films called by their lungs in the surround of a film of the other label."""
    images, wide = torch.from_numpy(part.images).float(), F.max_pool2d(lungs[:, None], 5, 1, 2)
    exchanged = images * wide + images.roll(1, 0) * (1 - wide)
    called = model.calibrated(model.logits(exchanged)).argmax(1)
    return (called == torch.from_numpy(part.labels)).float().mean().item()


def test_composed_films_teach_a_network_to_answer_by_the_lungs(configs, films) -> None:
    data, lungs = films
    plain = train(config(configs, "null"), data).model
    taught = train(config(configs, "{films: 24, weight: 3.0}"), data).model
    before, after = (right_in_another_surround(m, data.validation, lungs) for m in (plain, taught))
    assert before < 0.65  # half are right by chance
    assert after > before + 0.1


def test_answers_that_move_with_the_surround_cost_where_steady_ones_are_asked_for(
    configs, films
) -> None:
    data, _ = films
    losses = []
    for steady in (1e-9, 1.0):
        recipe = config(configs, f"{{films: 12, weight: 1.0, steady: {steady}}}").train
        composer = composer_of(data.train, recipe)
        torch.manual_seed(0)
        with torch.no_grad():
            films = films_at(composer, 0, 0, 0)
            loss = composed_loss(BrightnessAlone(), films, composer.recipe, torch.preserve_format)
        losses.append(loss.item())
    assert losses[1] > losses[0] + 0.1


def test_other_peoples_normal_films_are_those_whose_hash_the_recipe_states(
    configs, films, tmp_path
) -> None:
    data, _ = films
    images, labels = (some.numpy() for some in chests(20, seed=9)[:2])
    splits = ["training"] * 12 + ["validation"] * 4 + ["test"] * 4
    content = Content(images, ["ab"[k] for k in labels], splits, [f"p{i}" for i in range(20)])
    info = write_set(tmp_path / "others", content, About(name="others"))

    def made(sha256: str) -> Composer:
        text = f"{{films: 4, negatives: '{tmp_path / 'others'}', negatives_sha256: '{sha256}'}}"
        return composer_of(data.train, config(configs, text).train)

    composer = made(info.sha256)
    wanted = images[:12][labels[:12] == 0]
    assert sorted(map(bytes, composer.films[96:].numpy())) == sorted(map(bytes, wanted))
    assert not composer.labels[96:].any()
    with pytest.raises(ConfigError, match="expected the images of SHA-256 0000"):
        made("0" * 64)
    with pytest.raises(ConfigError, match="negatives needs negatives_sha256"):
        config(configs, f"{{films: 4, negatives: '{tmp_path / 'others'}'}}")


def test_films_composed_ahead_by_processes_are_those_of_their_steps(configs, films) -> None:
    composer = composer_of(films[0].train, config(configs, "{films: 4}").train)
    alone, ahead = (list(films_ahead(composer, 7, 2, range(3, 6), n)) for n in (0, 2))
    for first, second in zip(alone, ahead, strict=True):
        assert torch.equal(first.images, second.images)
        assert torch.equal(first.targets, second.targets)
    assert not torch.equal(alone[0].images, alone[1].images)


def test_blanked_films_are_held_to_what_is_known_of_any_film() -> None:
    logits = torch.tensor([[0.0, 3.0], [0.0, 1.0], [0.0, 0.5], [0.0, 0.2]])
    targets = torch.tensor([[1.0, 0.0]] * 2 + [[0.5, 0.5]] * 2)
    blanked = torch.tensor([False, False, True, True])
    expected = (2 * (2 - 0.5) + 0.5 + 0.2) / 4  # Huber's loss of 2, twice; then the log-odds
    assert unsteadiness(logits, targets, blanked).item() == pytest.approx(expected)


def test_composed_films_are_the_same_in_a_run_that_was_interrupted(
    configs, films, tmp_path
) -> None:
    data, _ = films
    recipe = config(configs, "{films: 4}")
    short = recipe.model_copy(update={"train": recipe.train.model_copy(update={"epochs": 2})})
    whole = train(short, data)

    def stop(epoch) -> None:
        raise KeyboardInterrupt

    path = tmp_path / "checkpoint.pt"
    with pytest.raises(KeyboardInterrupt):
        train(short, data, checkpoint=path, report=stop)
    resumed = train(short, data, checkpoint=path)
    for a, b in zip(whole.model.parameters(), resumed.model.parameters(), strict=True):
        assert torch.equal(a, b)


@torch.no_grad()
def test_a_silenced_head_ranks_blanked_films_alike_and_films_as_before(configs, films) -> None:
    data, lungs = films
    recipe = config(configs, "{films: 4}")
    torch.manual_seed(0)
    network, composer = build(recipe).eval(), composer_of(data.train, recipe.train)
    shown, labels = torch.from_numpy(data.train.images).float(), data.train.labels
    coarse = network.features(shown)[:, : network.coarse]
    for k in (0, 1):  # a head that tells films by all that differs
        network.means[k] = coarse[labels == k].mean(0)
    middle = network.means.mean(0)
    images = torch.from_numpy(data.validation.images).float()
    wide = F.max_pool2d(lungs[:, None], 5, 1, 2)

    def told(some: Tensor) -> float:
        logits = network.logits(some)
        return auc(data.validation.labels == 1, (logits[:, 1] - logits[:, 0]).numpy())

    blanked = images * (1 - wide) + 100 * wide
    assert told(blanked) > 0.95
    silence(network, composer, 0)
    assert 0.25 < told(blanked) < 0.75
    assert told(images) > 0.95
    assert torch.allclose(network.means.mean(0), middle, atol=1e-5)


def test_a_recipe_that_says_so_ends_with_a_silenced_head(configs, films) -> None:
    recipe = config(configs, "{films: 4}")
    silent = recipe.model_copy(update={"train": recipe.train.model_copy(update={"silent": True})})
    plain, silenced = (train(each, films[0]).model for each in (recipe, silent))
    silence(plain, composer_of(films[0].train, recipe.train), recipe.seed)
    for name, weights in silenced.named_parameters():
        assert torch.equal(weights, dict(plain.named_parameters())[name]), name


def test_a_silent_recipe_composes_films(configs) -> None:
    with pytest.raises(ConfigError, match="silent blanks images as compose does"):
        load_config(configs / "chest-xray.yaml", ("train.silent=true", "train.compose=null"))
