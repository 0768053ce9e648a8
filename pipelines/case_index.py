"""What a model keeps of its training images for explanations: python pipelines/case_index.py --model chest-xray [--axes 8] [--bodies 800]

Writes cases.safetensors and cases.json beside the model: training cases projected to a few axes with their labels (for nearest cases), the mean image of each
class (for controls), the usual state at the depths of local evidence and, for counterfactuals, how the classes differ (films) or what belongs in a part of an
image (phantoms). What the projection gives away of an image is measured on validation images: least-squares decoding, the network run backwards from it, and
the most that any linear index of that size could. For generated radiographs the first --bodies of the training seed are taken, and all for what belongs.
"""

import argparse

import numpy as np
import torch
from torch import Tensor

from medinv.data.sets.load import load_images
from medinv.explanation.local import mean_states
from medinv.explanation.trunk import last_state
from medinv.models.reference import EXPECTATION, TRANSPORT, USUAL, CaseFacts, principal_axes, save_cases
from medinv.models.expectation import fit_expectation
from medinv.models.store import load, locate
from medinv.models.transport import fit_transport

BATCH = 32
DEPTHS = {  # for phantoms those of validation images where planted opacities were localised best (pipelines/faithfulness.py); for films the like, untested
    "phantom-opacity": ("level 2, layer 7: AffineCoupling", "level 3, layer 7: AffineCoupling"),
    "chest-xray": (
        "level 2, layer 10: AffineCoupling",
        "level 2, layer 13: AffineCoupling",
        "level 3, layer 7: AffineCoupling",
    ),
}

TRANSPORT_AXES = {
    "chest-xray": 128
}  # of generated opacities, which lie anywhere, no mean difference tells
EXPECTATION_AXES = {
    "phantom-opacity": 96
}  # on films what flips the model is not a part of the image: see pipelines/counterfactuals.py


def batches(images: np.ndarray) -> list[Tensor]:
    return [torch.from_numpy(images[i : i + BATCH]).float() for i in range(0, len(images), BATCH)]


def variance_explained(truth: Tensor, guess: Tensor, mean: Tensor) -> float:
    return (1 - (truth - guess).square().sum() / (truth - mean).square().sum()).item()


def affine_fit(points: Tensor, pixels: Tensor) -> Tensor:
    """Coefficients (K + 1, pixels) of the least-squares decoding."""
    return torch.linalg.lstsq(torch.cat([points, torch.ones(len(points), 1)], 1), pixels).solution


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="chest-xray")
    parser.add_argument("--axes", type=int, default=8)
    parser.add_argument("--bodies", type=int, default=800)
    options = parser.parse_args()
    model = load(options.model, dtype=torch.float32)
    source = model.card.config.data
    if source.counts:
        source = source.model_copy(
            update={"counts": (min(options.bodies, source.counts[0]), 200, 1)}
        )
    data = load_images(source)
    train, validation = data.train, data.validation

    with torch.no_grad():
        coarse, coarse_v = (
            torch.cat([last_state(model, x) for x in batches(part.images)])
            for part in (train, validation)
        )
        direction = (model.means[1] - model.means[0]).flatten()
    axes = principal_axes(coarse.flatten(1), direction, options.axes)
    offset = axes @ coarse.flatten(1).mean(0)
    raw = coarse.flatten(1) @ axes.T - offset
    scale = raw.std(0)
    points, points_v = raw / scale, (coarse_v.flatten(1) @ axes.T - offset) / scale

    pixels, pixels_v = (
        torch.from_numpy(part.images).float().flatten(1) for part in (train, validation)
    )
    mean = pixels.mean(0)
    fit = affine_fit(points, pixels)
    least_squares = variance_explained(
        pixels_v, torch.cat([points_v, torch.ones(len(points_v), 1)], 1) @ fit, mean
    )
    best = torch.svd_lowrank(pixels - mean, q=options.axes, niter=4)[2]
    best_axes = variance_explained(pixels_v, mean + (pixels_v - mean) @ best @ best.T, mean)
    with torch.no_grad():
        guess = torch.zeros(len(points_v), *model.latent_shape)
        guess[:, : coarse.shape[1]] = (
            coarse.flatten(1).mean(0) + (points_v * scale) @ axes
        ).reshape(-1, *coarse.shape[1:])
        network = variance_explained(
            pixels_v, torch.cat([model.invert(z) for z in guess.split(BATCH)]).flatten(1), mean
        )

    distance, rows = torch.cdist(points_v, points).topk(5, largest=False)
    labels, labels_v = torch.from_numpy(train.labels), torch.from_numpy(validation.labels)
    chance = torch.from_numpy(np.random.default_rng(0).integers(len(train), size=len(validation)))
    rms = [
        (pixels_v - pixels[which]).square().mean(1).sqrt().median().item()
        for which in (rows[:, 0], chance)
    ]
    shares = [(labels == k).float().mean().item() for k in (0, 1)]
    usual = mean_states(model, batches(train.images[train.labels == 0]), DEPTHS[model.card.name])
    facts = CaseFacts(
        weights_sha256=model.card.weights_sha256, cases_sha256="",
        training_set=f"training images of {model.card.config.data.set}, in the order of medinv.data.sets.load" + (f", first {options.bodies} bodies, clear then opacity" if source.counts else ""),
        cases=len(train), axes=options.axes, recovered_least_squares=least_squares, recovered_network=network, recovered_best_axes=best_axes,
        agreement=(labels[rows] == labels_v[:, None]).float().mean().item(), agreement_chance=float(sum(shares[k] * (labels_v == k).float().mean() for k in (0, 1))),
        rms_nearest=rms[0], rms_chance=rms[1], typical_distance=tuple(distance[:, 0].quantile(torch.tensor([0.5, 0.95])).tolist()),
    )  # fmt: skip
    means = torch.stack(
        [torch.from_numpy(train.images[train.labels == k].mean(0)).float() for k in (0, 1)]
    )
    tensors = {
        "axes": axes,
        "offset": offset,
        "scale": scale,
        "points": points.half(),
        "labels": labels.to(torch.uint8),
        "class_means": means,
    }
    tensors |= {USUAL + name: state for name, state in usual.items()}
    if axes_of_transport := TRANSPORT_AXES.get(model.card.name):
        transport = fit_transport(torch.from_numpy(train.images).float(), labels, axes_of_transport)
        tensors |= {
            TRANSPORT + name: part.half() if name == "axes" else part
            for name, part in vars(transport).items()
        }
    if axes_of_expectation := EXPECTATION_AXES.get(model.card.name):
        whole = model.card.config.data
        all_of_them = load_images(
            whole.model_copy(update={"counts": whole.counts and (whole.counts[0], 1, 1)})
        ).train
        belongs = fit_expectation(
            torch.from_numpy(all_of_them.images).float(),
            torch.from_numpy(all_of_them.labels),
            axes_of_expectation,
        )
        tensors |= {
            EXPECTATION + name: part.half() if name == "axes" else part
            for name, part in vars(belongs).items()
        }
    save_cases(locate(options.model), tensors, facts)
    print(facts.model_dump_json(indent=1))


if __name__ == "__main__":
    main()
