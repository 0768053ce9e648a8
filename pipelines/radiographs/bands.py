"""Is a coarse classifier with conditional detail bands cheaper than one flow at full size?

    python -m pipelines.radiographs.bands [--epochs 4] [--out runs/bands]

Two ways to a classifier of which nothing is lost. Direct: the chest model's recipe on films of
64 x 64 pixels. By bands (Wavelet Flow, Yu et al. 2020, 2010.13821): the same recipe on averages of
2 x 2, and a density of what the averages leave out given them, which no label needs. Told are the
processor time of a training step, bits a pixel of both together, AUC, and small discs planted in
normal films: what a classifier that sees averages alone misses. Of validation films, one seed.
Resumes. Needs MEDINV_DATA. About a quarter of an hour on one core; writes
pipelines/results/radiographs-bands.md.
"""

import argparse
import math
import time
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import cast

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from medinv.audit.planted import plantings
from medinv.config import Config, load_config
from medinv.data.sets.labelled import LabelledImages, Part
from medinv.data.sets.load import load_images
from medinv.layers import ActNorm, AffineCoupling, Chain, ConditionalMultiscale, InvertibleConv2d
from medinv.metrics import Estimate, clustered_auc, proportion
from medinv.models.base import in_batches
from medinv.models.build import build
from medinv.models.density import Classifier
from medinv.training.calibrate import calibrate
from medinv.training.train import predict, train
from pipelines.radiographs.padding import SETTINGS
from pipelines.radiographs.variants import films_of
from pipelines.record import Table, record

BLOCKS, HIDDEN, BATCH, RATE = 2, 16, 32, 1e-3  # of the detail band
SPECIFICITY = 0.95
STEPS = 7
SMALL = ("data.size=32", "model.depths=[4,6,6]", "model.hidden=[24,32,48]")
MEAN, STD = 122.5, 61.5  # grey levels, as in the recipe
CLAIM = """\
The network must not lose what its answer does not need. A density of each detail band given the
coarser image keeps that too, and the classifier could be a small one. Asked is what it saves and
what it misses."""


def halved(part: Part) -> Part:
    """A part's films by averages of 2 x 2, rounded as an intake rounds."""
    images = F.avg_pool2d(torch.from_numpy(np.array(part.images)).float(), 2)
    return replace(part, images=images.round().to(torch.uint8).numpy())


def classifier(config: Config, data: LabelledImages, path: Path) -> Classifier:
    """Trained, or gone on with, and calibrated on validation films."""
    told = train(config, data, checkpoint=path, report=lambda epoch: print(path.stem, epoch))
    model = cast(Classifier, told.model)
    calibrate(model, config, data)
    return model


def band() -> ConditionalMultiscale:
    """One detail band; the averages are left as they are."""
    blocks = [
        (ActNorm(3), InvertibleConv2d(3), AffineCoupling(3, HIDDEN, condition=1))
        for _ in range(BLOCKS)
    ]
    return ConditionalMultiscale(1, [Chain(*(layer for block in blocks for layer in block))])


def scaled(images: Tensor) -> Tensor:
    """Grey levels (N, 1, H, W) as the networks scale them."""
    return (images - MEAN) / STD


def band_loss(layer: ConditionalMultiscale, x: Tensor) -> Tensor:
    """Negative log-likelihood (N,) of the details given the averages, in nats."""
    z, log_det = layer.level(0, x)
    return z.square().flatten(1).sum(1) / 2 + z[0].numel() * math.log(2 * math.pi) / 2 - log_det


def trained_band(part: Part, epochs: int) -> ConditionalMultiscale:
    """A detail band fitted to the films of a part, dequantised."""
    torch.manual_seed(0)
    layer, films = band(), torch.from_numpy(np.array(part.images)).float()
    layer.initialise(scaled(films[:128]))
    optimiser = torch.optim.AdamW(layer.parameters(), RATE)
    for epoch in range(epochs):
        for rows in torch.randperm(len(films)).split(BATCH):
            noisy = films[rows] + torch.rand(len(rows), *films.shape[1:]) - 0.5
            loss = band_loss(layer, scaled(noisy)).mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        print(f"band, epoch {epoch + 1}: {loss.item() / films[0].numel() / math.log(2):.3f}")
    return layer


@torch.no_grad()
def bits(model: Classifier, layer: ConditionalMultiscale | None, films: Tensor) -> float:
    """Bits a grey level of films (N, 1, H, W), dequantised; the model reads averages where there is
    a `layer` for what they leave out. Haar's averages are twice the mean, which costs a bit each.
    """
    noisy = films + torch.rand(films.shape, generator=torch.Generator().manual_seed(0)) - 0.5
    nats = []
    for some in noisy.split(BATCH):
        seen = some if layer is None else F.avg_pool2d(some, 2)
        one = -cast(Tensor, model.read(seen).log_likelihoods).logsumexp(1)
        if layer is not None:
            values = seen[0].numel()
            one = one + band_loss(layer, scaled(some)) + values * math.log(2 * STD**3)
        nats.append(one)
    return torch.cat(nats).mean().item() / films[0].numel() / math.log(2)


def step_seconds(config: Config, data: LabelledImages, *, detail: bool) -> float:
    """Median processor time of a training step of the density on a batch; of `detail` bands that of
    a classifier on averages and of the band together.
    """
    films = torch.from_numpy(np.array(data.train.images[:BATCH])).float()
    model = cast(Classifier, build(config)).train()
    layer = band() if detail else None
    seen = F.avg_pool2d(films, 2) if detail else films
    times = []
    for _ in range(STEPS):
        began = time.process_time()
        loss = -model.read(seen, scope=False).log_likelihoods.logsumexp(1).mean()
        if layer is not None:
            loss = loss + band_loss(layer, scaled(films)).mean()
        loss.backward()
        times.append(time.process_time() - began)
    return median(times)


def discs(model: Classifier, data: LabelledImages, *, coarse: bool) -> dict[str, Estimate]:
    """Planted discs that a model calls, at the threshold at which SPECIFICITY of normals is not."""
    films, region = films_of(data, "validation")

    def odds(images: Tensor) -> np.ndarray:
        levels = images.round().clamp(0, 255)
        seen = F.avg_pool2d(levels, 2).round() if coarse else levels
        return model.log_odds(in_batches(model.logits, model, seen.numpy())).numpy()

    least = np.quantile(odds(films.images[films.rows(0)]), SPECIFICITY)
    return {
        f"called, {one.name}": proportion(odds(one.images) > least)
        for one in plantings(films, region)
        if one.key.startswith("disc")
    }


def measured(epochs: int, out: Path, *, coarse: bool) -> dict[str, str]:
    """A column of the table: directly, or on averages with a band."""
    config = load_config("configs/chest-xray.yaml", (*SETTINGS, f"train.epochs={epochs}"))
    data = seen = load_images(config.data)
    layer = None
    if coarse:
        config = load_config(
            "configs/chest-xray.yaml", (*SETTINGS, *SMALL, f"train.epochs={epochs}")
        )
        seen = LabelledImages(*map(halved, (data.train, data.validation, data.test)))
        layer = trained_band(data.train, epochs)
    model = classifier(config, seen, out / ("bands.pt" if coarse else "direct.pt"))
    part = seen.validation
    odds = model.log_odds(predict(model, part)).numpy()
    films = torch.from_numpy(np.array(data.validation.images)).float()
    per = step_seconds(config, data, detail=coarse) / BATCH
    found = {
        "processor ms of a step of the density, an image": f"{1000 * per:.1f}",
        "bits a grey level": f"{bits(model, layer, films):.3f}",
        "AUC": str(clustered_auc(part.labels, odds, part.patients)),
    }
    return found | {row: str(one) for row, one in discs(model, data, coarse=coarse).items()}


def main() -> None:
    """The command."""
    began = time.process_time()
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--out", type=Path, default=Path("runs/bands"))
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    direct, bands = (measured(options.epochs, options.out, coarse=k) for k in (False, True))
    rows = [[row, value, bands[row]] for row, value in direct.items()]
    note = (
        f"One seed each, {options.epochs} epochs; 95 % intervals. Discs at the threshold at which "
        f"{SPECIFICITY:.0%} of normal films are called normal; sizes in pixels of 64."
    )
    names = ("", "direct, 64 x 64", "32 x 32 and a band")
    table = Table("Direct and by bands, validation films", names, rows, note)
    print(table.markdown())
    record(
        "radiographs-bands",
        title="Chest radiographs: one flow, or a coarse classifier and detail bands",
        claim=CLAIM,
        tables=[table],
        made={
            "command": f"python -m pipelines.radiographs.bands --epochs {options.epochs}",
            "seed": 0,
            "processor seconds": round(time.process_time() - began),
        },
    )


if __name__ == "__main__":
    main()
