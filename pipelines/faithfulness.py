"""Do explanations point at what is there? python pipelines/faithfulness.py [--model phantom-opacity] [--count 200] [--out DIR] [--quick]

Radiographs of a simulated thorax with planted opacities of known mask, of a seed that no training used. For images that the model calls rightly, per method: pixel
AUROC, pointing game, IoU at the opacity's own area; deletion and insertion (share of the log-odds' fall when the pixels ranked highest are replaced by the mean
clear image, against random order); rank correlation with the map of the untrained network (should be low) and of the image with a little noise (should be high);
the residual of the sum that the method promises, and seconds an image. Ours need the model's cases.safetensors (pipelines/case_index.py).
Needs the extra `study` (captum). Writes faithfulness.md and faithfulness.json.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch
from scipy.stats import spearmanr
from sklearn.metrics import roc_auc_score
from torch import Tensor

from explainers import methods
from medinv.batch.results import write_atomically
from medinv.data.phantoms import TEST_SEED, VALIDATION_SEED, Radiographs, Recipe, radiographs
from medinv.explain.controls import untrained
from medinv.models.build import build
from medinv.models.cases import load_cases
from medinv.models.store import load

VISIBLE = 8.0  # grey levels: mean rise inside the mask from which an opacity counts as visible
SMALLEST = 4  # pixels of the mask
BINS = (("invisible", 0.0, 4.0), ("faint", 4.0, VISIBLE), ("visible", VISIBLE, 16.0), ("plain", 16.0, 256.0))
BATCH = 8
FRACTIONS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.4)
HEADINGS = ("method", "pixel AUROC", "pointing game", "IoU", "deletion", "insertion", "untrained", "repeat", "residual", "s an image")


def in_batches(method, x: Tensor) -> tuple[np.ndarray, float, float]:
    """Maps (N, H, W), the largest residual (nan where the method promises no sum) and seconds an image."""
    start = time.perf_counter()
    found = [method(x[i : i + BATCH]) for i in range(0, len(x), BATCH)]
    seconds = (time.perf_counter() - start) / len(x)
    return torch.cat([f[0] for f in found]).detach().numpy(), max(float(f[1]) for f in found), seconds


def localisation(maps: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """Pixel AUROC, pointing game and IoU at the mask's area for each image, (N, 3)."""
    rows = []
    for map_, mask in zip(maps, masks):
        values, truth = map_.ravel(), mask.ravel()
        hits = truth[np.argsort(-values, kind="stable")[: truth.sum()]].sum()
        rows.append((roc_auc_score(truth, values), truth[values.argmax()], hits / (2 * truth.sum() - hits)))
    return np.array(rows, dtype=float)


@torch.no_grad()
def curves(model, x: Tensor, maps: np.ndarray, fill: Tensor) -> tuple[float, float]:
    """Mean over FRACTIONS of the log-odds' fall when the top pixels are replaced (deletion) or all others are (insertion), as a share of the whole fall."""
    order = torch.from_numpy(maps).flatten(1).argsort(1, descending=True)
    full, empty = model.log_odds(model.logits(x)), model.log_odds(model.logits(fill.expand_as(x)))
    falls = {"deletion": [], "insertion": []}
    for fraction in FRACTIONS:
        top = torch.zeros_like(x).flatten(1).scatter_(1, order[:, : int(fraction * order.shape[1])], 1.0).view_as(x)
        falls["deletion"].append(full - model.log_odds(model.logits(x * (1 - top) + fill * top)))
        falls["insertion"].append(model.log_odds(model.logits(x * top + fill * (1 - top))) - empty)
    return tuple((torch.stack(values).mean(0).sum() / (full - empty).sum()).item() for values in falls.values())


def correlation(first: np.ndarray, second: np.ndarray) -> float:
    return float(np.mean([spearmanr(a.ravel(), b.ravel()).statistic for a, b in zip(first, second)]))


def chosen(model, made: Radiographs) -> np.ndarray:
    """Rows that the model calls rightly and whose mask has SMALLEST pixels."""
    x = torch.from_numpy(made.images[:, None]).float()
    with torch.no_grad():
        odds = torch.cat([model.log_odds(model.logits(part)) for part in x.split(16)])
    return np.flatnonzero((odds >= model.decision_logit).numpy() & (made.masks.sum((1, 2)) >= SMALLEST))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="phantom-opacity")
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--part", choices=("validation", "test"), default="test")
    parser.add_argument("--out", type=Path, default=Path("runs/faithfulness"))
    parser.add_argument("--quick", action="store_true", help="24 images: to see that all works")
    options = parser.parse_args()
    model, kept = load(options.model, dtype=torch.float32), load_cases(options.model)
    seed = {"validation": VALIDATION_SEED, "test": TEST_SEED}[options.part]
    made = radiographs(24 if options.quick else options.count, model.image_shape[1], seed, start=10_000, recipe=Recipe(opacity_share=1.0))
    rows = chosen(model, made)
    x, masks, contrasts = torch.from_numpy(made.images[rows][:, None]).float(), made.masks[rows], made.contrasts[rows]
    visible = contrasts >= VISIBLE
    some = np.flatnonzero(visible)[:16]  # for the curves and the correlations
    torch.manual_seed(1)
    control = untrained(build(model.card.config), model, x[:8])
    noisy = x + torch.randn(x.shape, generator=torch.Generator().manual_seed(0))
    fill = kept.class_means[0][None]
    explainers, controls = methods(model, kept), methods(control, kept)
    lines, record = ["| " + " | ".join(HEADINGS) + " |", "|---" * len(HEADINGS) + "|"], {}
    for name, explain in explainers.items():
        maps, residual, seconds = in_batches(explain, x)
        each = localisation(maps, masks)
        falls = curves(model, x[some], maps[some], fill)
        other, repeat = in_batches(controls[name], x[some])[0], in_batches(explain, noisy[some])[0]
        likeness = correlation(maps[some], other), correlation(maps[some], repeat)
        mean = each[visible].mean(0)
        cells = [name, *(f"{v:.3f}" for v in mean), *(f"{v:.2f}" for v in (*falls, *likeness)), f"{residual:.1e}" if residual == residual else "-", f"{seconds:.3f}"]
        lines.append("| " + " | ".join(cells) + " |")
        by_contrast = {label: [*each[inside].mean(0), int(inside.sum())] for label, low, high in BINS if (inside := (contrasts >= low) & (contrasts < high)).any()}
        record[name] = {"visible": list(mean), "falls": falls, "likeness": likeness, "residual": residual, "seconds": seconds, "by contrast": by_contrast}
        print(lines[-1], flush=True)
    counts = ", ".join(f"{label} {int(((contrasts >= low) & (contrasts < high)).sum())}" for label, low, high in BINS)
    note = f"{options.part} seed, {len(made.labels)} opacities, {len(rows)} called rightly ({counts}); first columns: the {int(visible.sum())} of contrast {VISIBLE:g} and more."
    options.out.mkdir(parents=True, exist_ok=True)
    write_atomically(options.out / "faithfulness.md", ("\n".join([*lines, "", note]) + "\n").encode())
    write_atomically(options.out / "faithfulness.json", json.dumps({"note": note, "methods": record}, indent=1).encode())
    print("\n".join([*lines, "", note]))


if __name__ == "__main__":
    main()
