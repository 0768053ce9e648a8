"""Ordinary networks as affine maps at each image: contributions + bias = logit, there and back.

    python -m pipelines.seeds.linear_interpreters.run [--quick] [--images 20] [--epochs 3]

ResNet-18 and MobileNetV2 at full width, random and trained on BreastMNIST (28 x 28), beside a
model that runs backwards. Pictures go to runs/seeds/linear_interpreters.png. Needs MEDINV_DATA.
About three processor minutes.
"""

import time
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from medinv.config import load_config
from medinv.data.sets.labelled import LabelledImages
from medinv.data.sets.load import load_images
from medinv.explanation.evidence import evidence
from medinv.explanation.ordinary import evidence_of, freeze_network
from medinv.metrics import auc
from medinv.models.base import in_batches
from medinv.models.store import load_invertible
from pipelines.record import ROOT, Table
from pipelines.seeds.linear_interpreters.subjects import NAMES, subjects
from pipelines.seeds.table import System, options, write

BUILT = """\
`medinv.explanation.ordinary`: a network is traced by torch.fx and every layer frozen at one image
by the table that freezes ours, to which convolutions, ReLU and ReLU6, smooth gates (their
secant), maximum and average pooling, batch and group normalisation and sums of residual blocks
were added. The map A u + b equals the network at that image; it is replayed forwards on other
images, and backwards by its transpose; a row of A is a picture. Contributions A_p (x_p - r) are
against the mean grey level r, and what no pixel carries is b: the logit of the frozen network on
the even grey image. The share of the bias is |b| / (|b| + |sum of contributions|). Of networks of
ReLU alone A is the gradient, so that contributions are gradient x (input - r): the sum is new,
the picture is not (a test holds it)."""


@dataclass(frozen=True)
class Found:
    """Of one network, over images: medians, and the largest of the errors."""

    network: str
    weights: str
    auc: float
    residual: float
    replay: float  # of the frozen map at its image, against the network
    transpose: float  # relative, <A u, v> against <u, A^T v>
    bias_share: tuple[float, float, float]  # quartiles
    cancels: float  # |sum of contributions| / sum of their sizes, median
    bias_sign: float  # images whose bias alone has the sign of the logit


def measured(
    network: nn.Module, name: str, weights: str, data: LabelledImages, images: int
) -> tuple[Found, list[np.ndarray]]:
    """The identities on test images in float64; and pictures of the first."""
    logits = in_batches(network.logits, network, data.test.images)
    odds = (logits[:, 1] - logits[:, 0]).detach().numpy()
    network, grey = network.double(), float(data.train.images.mean())
    generator = torch.Generator().manual_seed(0)
    chosen = np.random.default_rng(0).permutation(len(data.test))[:images]
    found, replays, transposes, pictures = [], [], [], []
    for row in chosen:
        x = torch.from_numpy(data.test.images[row : row + 1]).double()
        one = evidence_of(network, x, 1, 0, ground=grey)
        found.append(one)
        frozen = freeze_network(network, x)
        with torch.no_grad():
            replays.append((frozen(x) - network(x.clone())).abs().max().item())
        u = 255 * torch.rand(x.shape, generator=generator).double()
        v = torch.randn(frozen.bias.shape, generator=generator).double()
        there = ((frozen(u) - frozen.bias) * v).sum().item()
        back = (u * frozen.back(v)).sum().item()
        transposes.append(abs(there - back) / abs(there))
        if not pictures:
            difference = frozen.row(1) - frozen.row(0)
            pictures = [x[0].mean(0).numpy(), difference[0].mean(0).numpy(), one.contributions]
    return _found(name, weights, auc(data.test.labels == 1, odds), found, replays, transposes), (
        pictures
    )


def _found(name, weights, area, found, replays, transposes) -> Found:
    sums = np.array([one.contributions.sum() for one in found])
    sizes = np.array([np.abs(one.contributions).sum() for one in found])
    biases, logits = (np.array([getattr(o, k) for o in found]) for k in ("bias", "logit"))
    shares = np.abs(biases) / (np.abs(biases) + np.abs(sums))
    quartiles = tuple(float(q) for q in np.percentile(shares, [25, 50, 75]))
    return Found(
        name,
        weights,
        area,
        max(one.residual for one in found),
        max(replays, default=float("nan")),
        max(transposes, default=float("nan")),
        (quartiles[0], quartiles[1], quartiles[2]),
        float(np.median(np.abs(sums) / sizes)),
        float((np.sign(biases) == np.sign(logits)).mean()),
    )


def ours(images: int) -> Found:
    """The shipped phantom model by its own evidence, on its own images."""
    model = load_invertible("phantom-opacity")
    data = load_images(
        load_config(ROOT / "configs/phantom-opacity.yaml", ("data.counts=[8,8,100]",)).data
    )
    found = [
        evidence(model, torch.from_numpy(data.test.images[row : row + 1]).double())
        for row in range(min(images, len(data.test)))
    ]
    return _found(
        "phantom-opacity (runs backwards)",
        "shipped",
        model.card.metrics["auc"].value,
        found,
        [],
        [],
    )


def drawn(pictures: dict[str, list[np.ndarray]], path) -> None:
    """A row a network: the image, the row of the map, the contributions."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(len(pictures), 3, figsize=(5.4, 1.9 * len(pictures)))
    for line, (name, shown) in zip(axes, pictures.items(), strict=True):
        for axis, picture, title in zip(
            line, shown, ("image", "row of A", "contributions"), strict=True
        ):
            extent = np.abs(picture).max()
            look = {"cmap": "gray"} if title == "image" else {"cmap": "RdBu_r", "vmin": -extent}
            axis.imshow(picture, vmax=extent, **look)
            axis.set_xticks([])
            axis.set_yticks([])
            axis.set_title(title, fontsize=7)
        line[0].set_ylabel(name, fontsize=7)
    figure.tight_layout()
    figure.savefig(path, dpi=80, metadata={"Software": None})
    plt.close(figure)


def row(one: Found) -> list[str]:
    low, middle, high = one.bias_share
    return [
        one.network,
        one.weights,
        f"{one.auc:.3f}",
        f"{one.residual:.0e}",
        *("-" if np.isnan(e) else f"{e:.0e}" for e in (one.replay, one.transpose)),
        f"{middle:.2f} ({low:.2f} to {high:.2f})",
        f"{one.cancels:.2f}",
        f"{one.bias_sign:.0%}",
    ]


COLUMNS = (
    "network",
    "weights",
    "test AUC",
    "residual of the sum",
    "replayed at its image",
    "transpose, relative",
    "share of the bias, quartiles",
    "sum / sizes of contributions",
    "bias has the logit's sign",
)


def main() -> None:
    parser = options(__doc__, "two images, no training")
    parser.add_argument("--images", type=int, default=20)
    parser.add_argument("--epochs", type=int, default=3)
    arguments = parser.parse_args()
    images = 2 if arguments.quick else arguments.images
    torch.set_num_threads(1)
    began = time.process_time()
    data = load_images(load_config(ROOT / "configs" / "breastmnist.yaml").data)
    found, pictures = [], {}
    for (name, weights), make in subjects(data, arguments.epochs, seed=0).items():
        if arguments.quick and weights == "trained":
            continue
        one, shown = measured(make(), name, weights, data, images)
        found.append(one)
        pictures[f"{name}, {weights}"] = shown
    found.append(ours(images))
    folder = ROOT / "runs" / "seeds"
    folder.mkdir(parents=True, exist_ok=True)
    drawn(pictures, folder / "linear_interpreters.png")
    ordinary = [one for one in found if one.network in NAMES]
    worst = max(one.residual for one in ordinary)
    shares = [one.bias_share[1] for one in ordinary if one.weights != "random"]
    told = " and ".join(f"{share:.0%}" for share in shares) or "not measured"
    system = System(
        3,
        "linear_interpreters",
        "Linear interpreters of ordinary networks",
        claimed="LinearScope: a network frozen at an image is one affine map whose rows are "
        "pictures and which replays its decision there and back.",
        measured=f"Contributions + bias = logit to {worst:.0e} on ResNet-18 and MobileNetV2; the "
        f"bias, which no pixel carries, is {told} of the decision of the trained ones (median).",
        seeds="1, 20 images",
        useful="`medinv.explanation.ordinary.evidence_of`: the exact evidence of a twin or of any "
        "traced network, so that ours can be compared on the same sum.",
    )
    note = (
        f"BreastMNIST, {images} test images, float64. Rows of A as pictures: the command draws "
        "them to runs/seeds/linear_interpreters.png; images of the set are not copied here."
    )
    table = Table("Affine maps at images", COLUMNS, [row(one) for one in found], note)
    page = write(system, BUILT, [table], seconds=time.process_time() - began, quick=arguments.quick)
    print(page.read_text())


if __name__ == "__main__":
    main()
