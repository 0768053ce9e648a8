"""Small transformers do what their names say, and the criteria what their formulas say."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from pipelines.seeds.transformers.criteria import (
    LOUD,
    alignment,
    evenness,
    frequencies,
    loudness,
    patches_of,
    smooth,
    smoothness,
    stable_rank,
    started,
)
from pipelines.seeds.transformers.learn import (
    Budget,
    Curve,
    Images,
    smoothed,
    steps_to,
    trained,
    words_of,
)
from pipelines.seeds.transformers.networks import (
    HEADS,
    KINDS,
    Attention,
    BEiT,
    DeiT,
    Swin,
    rolled,
    unwindowed,
    windows,
)
from pipelines.seeds.transformers.run import curves, judged, spectra, speeds


def _images(count: int = 40, channels: int = 3) -> torch.Tensor:
    """Smooth ones, so that patches are uneven."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.randn(count, channels, 6, 6, generator=generator)
    fine = torch.randn(count, channels, 16, 16, generator=generator)
    return F.interpolate(coarse, size=16, mode="bilinear") + 0.1 * fine


@pytest.mark.parametrize("kind", KINDS)
def test_the_start_by_both_rules_fulfils_both_criteria(kind: str) -> None:
    x = _images(400)
    plain, both = (started(KINDS[kind](3, 5), start, x, 0) for start in ("plain", "both"))
    patches = patches_of(x, both.patches())
    assert evenness(both.patches().weight, patches) == pytest.approx(1, abs=1e-4)
    assert alignment(both.patches().weight, patches) == pytest.approx(1, abs=1e-4)
    assert evenness(plain.patches().weight, patches) < 0.8
    assert smoothness(both.positions) == pytest.approx(1, abs=1e-6)
    assert loudness(both, x) == pytest.approx(LOUD, rel=1e-3)
    assert smoothness(plain.positions) < 0.7 and loudness(plain, x) < 0.1
    for name, weight in plain.named_parameters():
        changed = name == "positions" or weight is plain.patches().weight
        assert torch.equal(weight, dict(both.named_parameters())[name]) != changed
    layer, other = plain.patches(), both.patches()
    sizes = [F.conv2d(x, each.weight, None, each.stride, each.padding) for each in (layer, other)]
    assert sizes[0].square().mean().item() == pytest.approx(sizes[1].square().mean().item())


def test_patches_are_those_that_the_convolution_sees() -> None:
    x, layer = _images(), nn.Conv2d(3, 6, 4, 4, bias=False)
    found = patches_of(x, layer)
    tokens = layer(x).flatten(2).mT.flatten(0, 1).double()
    rows = layer.weight.detach().double().flatten(1)
    assert torch.allclose(torch.cov(tokens.T), rows @ found.covariance @ rows.T, atol=1e-5)
    assert (found.variances.diff() <= 1e-9).all()


def test_frequencies_are_orthonormal_and_tell_smooth_from_rough() -> None:
    basis, order = frequencies()
    assert torch.allclose(basis @ basis.T, torch.eye(16, dtype=torch.float64), atol=1e-12)
    assert order[0] == 0 and order.max() == 6
    chequered = (-1.0) ** (torch.arange(4)[:, None] + torch.arange(4)).reshape(1, 16, 1)
    ramp = torch.arange(4.0).repeat_interleave(4).reshape(1, 16, 1)
    assert smoothness(ramp) > 0.9 and smoothness(chequered) < 0.1
    assert smoothness(ramp + 7) == pytest.approx(smoothness(ramp))


def test_stable_rank_is_one_of_an_outer_product_and_full_of_a_rotation() -> None:
    assert stable_rank(torch.outer(torch.arange(1.0, 4), torch.ones(5))) == pytest.approx(1)
    assert stable_rank(torch.eye(6)) == pytest.approx(6)


def test_smooth_positions_differ_by_seed() -> None:
    x = _images()
    model = started(KINDS["ViT"](3, 2), "plain", x, 0)
    smooth(model, x, 1)
    first = model.positions.clone()
    smooth(model, x, 2)
    assert not torch.equal(first, model.positions)


def test_windows_and_shifts_go_back() -> None:
    x = torch.arange(2 * 16 * 3.0).view(2, 16, 3)
    assert torch.equal(unwindowed(windows(x)), x)
    assert torch.equal(rolled(rolled(x, -1), 1), x)
    assert windows(x)[0, :, 0].tolist() == [0, 3, 12, 15]  # tokens 0, 1, 4, 5


def test_no_token_sees_across_the_edge_that_a_shift_brought_round() -> None:
    model = Swin(1, 2)
    mask = model.apart
    assert mask.shape == (4, 4, 4)
    assert (mask[0] == 0).all()  # the first window of the shifted grid is whole
    open_pairs = [(each == 0).sum().item() for each in mask]
    assert open_pairs == [16, 8, 8, 4]  # two halves, two halves, four corners


def test_attention_is_torch_s() -> None:
    ours, theirs = Attention(32), nn.MultiheadAttention(32, HEADS, batch_first=True)
    with torch.no_grad():
        theirs.in_proj_weight.copy_(ours.inner.weight)
        theirs.in_proj_bias.copy_(ours.inner.bias)
        theirs.out_proj.weight.copy_(ours.outer.weight)
        theirs.out_proj.bias.copy_(ours.outer.bias)
    x = torch.randn(2, 5, 32)
    assert torch.allclose(ours(x), theirs(x, x, x)[0], atol=1e-5)


def test_a_relative_bias_is_one_number_a_step_between_places() -> None:
    attention = Attention(32, 2)
    found = attention.relative
    assert found[0, 3] != found[3, 0] and found[0, 1] == found[2, 3]  # a place to the right
    assert found.unique().numel() == 9


def test_deit_calls_by_both_of_its_tokens() -> None:
    model = started(DeiT(3, 4), "plain", _images(), 0)
    own, heard = model.both(_images(3))
    assert torch.equal(model(_images(3)).argmax(1), (own.softmax(1) + heard.softmax(1)).argmax(1))


def test_beit_guesses_without_seeing_what_is_hidden() -> None:
    model = started(BEiT(3, 4), "plain", _images(), 0)
    x, hidden = _images(2), torch.zeros(2, 16, dtype=torch.bool)
    hidden[:, 5] = True
    changed = x.clone()
    changed[:, :, 4:8, 4:8] += 3  # what token 5 covers
    assert torch.equal(model.guesses(x, hidden), model.guesses(changed, hidden))
    assert not torch.equal(model.guesses(x, ~hidden), model.guesses(changed, ~hidden))


def _set() -> Images:
    generator = torch.Generator().manual_seed(1)
    y = torch.randint(2, (128,), generator=generator)
    x = _images(128, 1) + 2 * y[:, None, None, None]
    return Images("bright", x, y, x, y, 2)


def test_visual_words_are_nearest_means() -> None:
    images = _set()
    found = words_of(images, 0)
    assert found.shape == (128, 16) and found.unique().numel() > 32


def test_only_the_start_differs_and_a_seed_gives_the_same_again() -> None:
    brief = Budget(steps=4, every=2)
    first, again = (trained("BEiT", "both", _set(), 0, brief) for _ in range(2))
    assert first == again and first.steps == [2, 4] and len(first.figures) == 3


@pytest.mark.parametrize("kind", KINDS)
def test_each_learns_what_is_easy(kind: str) -> None:
    assert trained(kind, "plain", _set(), 0, Budget(steps=60, every=20)).accuracies[-1] > 0.8


def test_steps_saved_are_told_against_the_plain_start_itself() -> None:
    plain = Curve([1, 2, 3, 4], [0.0, 0.3, 0.6, 0.6], [])
    fast = Curve([1, 2, 3, 4], [0.5] * 4, [])
    never = Curve([1, 2, 3, 4], [0.1] * 4, [])
    assert smoothed(plain.accuracies) == pytest.approx([0, 0.15, 0.3, 0.5])
    assert steps_to(plain, 0.5) == 4 and steps_to(fast, 0.5) == 1
    assert steps_to(never, 0.5) == np.inf
    seeds = range(3)
    found = {("s", "ViT", "plain", k): plain for k in seeds}
    found |= {("s", "ViT", "both", k): (fast, fast, never)[k] for k in seeds}
    cells, good = judged(found, "s", "ViT", "both", seeds)
    assert cells[1] == "+75 % (never to +75 %)" and not good  # one lost too much
    found["s", "ViT", "both", 2] = fast
    assert judged(found, "s", "ViT", "both", seeds)[1]


def test_curves_that_are_in_the_file_are_not_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, brief = tmp_path / "curves.jsonl", Budget(steps=2, every=2)
    first = dict(curves(_set(), ("plain",), range(1), kept, brief))
    assert len(first) == len(KINDS) == len(kept.read_text().splitlines())
    more = dict(curves(_set(), ("plain", "both"), range(2), kept, brief))
    table, good = speeds(more, "bright", "both", range(2))
    assert len(table.rows) == len(KINDS) and 0 <= good <= len(KINDS)
    assert len(spectra(more, "bright", range(2)).rows) == 2 * len(KINDS)
    monkeypatch.setattr("pipelines.seeds.transformers.run.trained", None)
    assert dict(curves(_set(), ("plain",), range(1), kept, brief)) == first
