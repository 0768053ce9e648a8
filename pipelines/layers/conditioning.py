"""Ways to keep a convolution well conditioned while it learns, side by side: one table in one run.

    MEDINV_DATA=... python -m pipelines.layers.conditioning --out DIR [--steps 400] [--seeds 3]

MEDINV_DATA (or --data): a folder that holds `kermany_cxr_112.npz` (`x`, `y`, `split`). A chain of 6
convolutions 3x3 (16 channels of 14x14 after a Squeeze of the halved image, circular padding) and
leaky ReLU 0.5 learns to tell normal from pneumonia. Compared: nothing; the orthogonality penalty;
spectral clipping after each step (Sedghi, Gupta and Long 2019, 1805.10408: singular values of the
symbol clipped, the kernel cut back to 3x3); the convolution exponential (Hoogeboom et al. 2020,
2006.01910: not a 3x3 kernel but a series of them); `bound_condition`. The worst condition number is
the bound for every image size, over layers, seeds and training (each 50 steps); the exponential's
is that at 14x14 (its way back is left out).
"""

import argparse
import json
import os
import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrize

from medinv.layers import (
    Chain,
    InvertibleConv2d,
    LeakyReLU,
    Squeeze,
    bound_condition,
    spectrum_bounds,
)
from medinv.layers.linalg import padding as pads
from medinv.layers.linalg import symbol as symbols

DEPTH, CHANNELS, SIZE, LIMIT, TERMS = 6, 16, 14, 4.0, 8


class ConvExponential(nn.Module):
    """`exp(w *) x` by its series; w is held to a norm of log(LIMIT) / 2 by the bound |w| <= sum of
    its taps' norms, hence the condition to LIMIT.
    """

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(0.02 / CHANNELS**0.5 * torch.randn(CHANNELS, CHANNELS, 3, 3))

    def kernel(self) -> Tensor:
        norm = torch.linalg.matrix_norm(self.weight.permute(2, 3, 0, 1), ord=2).sum()
        return self.weight * (np.log(LIMIT) / 2 / norm.clamp_min(np.log(LIMIT) / 2))

    def forward(self, x: Tensor) -> Tensor:
        kernel, term, total = self.kernel(), x, x
        for k in range(1, TERMS + 1):
            term = pads.linear(term, kernel, "circular") / k
            total = total + term
        return total

    def condition(self) -> float:
        symbol = torch.matrix_exp(symbols.symbol(self.kernel().detach().double(), (SIZE, SIZE)))
        values = np.linalg.svd(symbol.numpy(), compute_uv=False)
        return float(values.max() / values.min())


def clip(layer: InvertibleConv2d) -> None:
    """Singular values on SIZE x SIZE images into [LIMIT^-1/2, LIMIT^1/2],
    then only the middle 3x3 taps of the kernel are kept.
    """
    symbol = symbols.symbol(layer.weight.detach().double(), (SIZE, SIZE)).numpy()
    u, values, v = np.linalg.svd(symbol)
    clipped = torch.from_numpy((u * np.clip(values, LIMIT**-0.5, LIMIT**0.5)[..., None, :]) @ v)
    kernel = torch.fft.irfft2(clipped.permute(2, 3, 0, 1).conj(), s=(SIZE, SIZE)).roll(
        (1, 1), (2, 3)
    )[:, :, :3, :3]
    layer.weight.data.copy_(kernel)


def trunk(method: str) -> list[nn.Module]:
    layers = []
    for _ in range(DEPTH):
        conv = ConvExponential() if method == "exponential" else InvertibleConv2d(CHANNELS)
        layers += [
            bound_condition(conv, LIMIT) if method == "bound_condition" else conv,
            LeakyReLU(0.5),
        ]
    return layers


def worst_condition(convs: list[nn.Module]) -> float:
    return max(
        conv.condition()
        if isinstance(conv, ConvExponential)
        else spectrum_bounds(conv.weight).condition
        for conv in convs
    )


def learn(method: str, seed: int, data: dict[str, Tensor], steps: int) -> dict[str, float]:
    torch.manual_seed(seed)
    layers = trunk(method)
    head, convs = nn.Linear(CHANNELS * SIZE**2, 2), layers[::2]
    parameters = [p for module in (*layers, head) for p in module.parameters()]
    optimiser = torch.optim.AdamW(parameters, lr=3e-3, weight_decay=1e-4)
    worst, seconds = 0.0, 0.0
    for step in range(steps):
        pick = torch.randint(len(data["x"]), (64,))
        start = time.perf_counter()
        optimiser.zero_grad()
        with parametrize.cached():
            loss = F.cross_entropy(
                head(nn.Sequential(*layers)(data["x"][pick]).flatten(1)), data["y"][pick]
            )
            if method == "penalty":
                loss = loss + 0.05 * sum(
                    symbols.orthogonality_penalty(conv.weight) for conv in convs
                )
            loss.backward()
        optimiser.step()
        if method == "clipping":
            for conv in convs:
                clip(conv)
        seconds += time.perf_counter() - start
        if step % 50 == 49 or step == steps - 1:
            worst = max(worst, worst_condition(convs))
    with torch.no_grad():
        right = head(nn.Sequential(*layers)(data["test_x"]).flatten(1)).argmax(1) == data["test_y"]
    exact = float("nan") if method == "exponential" else come_back(Chain(*layers), data["levels"])
    return {
        "accuracy": right.float().mean().item(),
        "condition": worst,
        "error": exact,
        "milliseconds": 1000 * seconds / steps,
    }


@torch.no_grad()
def come_back(chain: Chain, levels: Tensor) -> float:
    """Largest error in grey levels of 64 images there and back in float32."""
    return ((chain.inverse(chain(levels / 255)) * 255) - levels).abs().max().item()


def load(folder: Path) -> dict[str, Tensor]:
    with np.load(folder / "kermany_cxr_112.npz") as file:
        x, y, split = (
            torch.from_numpy(file["x"]).float()[:, None],
            torch.from_numpy(file["y"]).long(),
            file["split"],
        )
    levels = Squeeze(4)(F.avg_pool2d(x, 2).round())
    train, test = torch.from_numpy(split == 0), torch.from_numpy(split == 2)
    return {
        "x": levels[train] / 255,
        "y": y[train],
        "test_x": levels[test] / 255,
        "test_y": y[test],
        "levels": levels[test][:64],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=os.environ.get("MEDINV_DATA"))
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    data, rows = load(Path(options.data)), {}
    print(
        f"{'method':16} {'accuracy':>9} {'worst condition':>16}"
        f" {'float32 error, grey levels':>27} {'ms a step':>10}"
    )
    for method in ("nothing", "penalty", "clipping", "exponential", "bound_condition"):
        runs = [learn(method, seed, data, options.steps) for seed in range(options.seeds)]
        row = {key: float(np.median([run[key] for run in runs])) for key in runs[0]} | {
            "condition": max(run["condition"] for run in runs)
        }
        rows[method] = row
        print(
            f"{method:16} {row['accuracy']:9.3f} {row['condition']:16.3g}"
            f" {row['error']:27.2g} {row['milliseconds']:10.1f}",
            flush=True,
        )
    options.out.mkdir(parents=True, exist_ok=True)
    part = options.out / "conditioning.json.part"
    part.write_text(
        json.dumps(
            {
                "limit": LIMIT,
                "steps": options.steps,
                "seeds": options.seeds,
                "torch": torch.__version__,
                "rows": rows,
            },
            indent=2,
        )
    )
    part.replace(options.out / "conditioning.json")


if __name__ == "__main__":
    main()
