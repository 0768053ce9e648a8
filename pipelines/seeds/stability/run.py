"""Scattering, frame bounds and stability, for the scattering front end and for medinv's trunks.

    python -m pipelines.seeds.stability.run [--quick]

A frame whose layers lengthen nothing (admissible: the upper bound of each is at most 1) makes a
network that lengthens no difference between images, moves little when an image moves a little, and
is stable to small deformations. Scattering is built so; the trunks here are built to be inverted.
"""

import time
from collections.abc import Iterator
from typing import cast

import torch
from torch import Tensor

import medinv
from medinv.layers import Chain
from medinv.layers.base import jacobian_norm
from medinv.models.base import InvertibleNetwork
from medinv.models.depths import steps
from pipelines.record import Table
from pipelines.seeds.stability.measures import (
    DenseScattering,
    Representation,
    deformed,
    expansions,
    moved,
)
from pipelines.seeds.subjects import SHIPPED, known_images
from pipelines.seeds.table import System, options, write

SHIFTS, STRENGTHS = (1, 4), (0.02, 0.1)
IMAGES, ITERATIONS, BACK = 2, 8, 4
CLAIMED = (
    "Networks whose layers are frames with an upper bound of at most 1 (admissible) lengthen no "
    "difference between images, whatever the depth; what averages over 2^J pixels moves by a "
    "multiple of c 2^-J where the image moves by c, and by a multiple of the gradient where it is "
    "deformed (Mallat 2012; Wiatowski and Boelcskei 2018)."
)
BUILT = (
    "The scattering front end of `medinv.models.scattering` with its averages at every pixel, and "
    "the trunks of the shipped models on standardised images, all features and those that decide. "
    "Frame bounds of scattering are those of its filters, exact; of a trunk they are the least and "
    "the largest squared singular value of its Jacobian that power iteration met at a few images: "
    "the least is an upper, the largest a lower bound of the truth (of `cifar10`, which widens, "
    "the least is that of its own way back, which may lengthen more than the shortest one would). "
    "Trunks are not built to be admissible, and that they are not is no failure: what is found "
    "here is the price of it."
)
USEFUL = (
    "those who compare images by distances of features: distances in the features of a trunk are "
    "not those of a stable representation, and small shifts move them by far more than they move "
    "scattering coefficients. For classification alone the table says nothing about who is right."
)


def scatterings(images: Tensor) -> Iterator[tuple[Representation, DenseScattering]]:
    for scales in (2, 3):
        front = DenseScattering(images.shape[-1], scales=scales, orientations=8).double()
        yield Representation(f"scattering, J = {scales}, L = 8", front, images, None), front


def trunks(name: str, count: int) -> Iterator[Representation]:
    """All features of a shipped model, and those that decide, of standardised images."""
    model = cast(InvertibleNetwork, medinv.load(name).double().requires_grad_(False))
    first, *rest = steps(model.trunk)
    with torch.no_grad():
        x = first.layer(known_images(model, count).double())
    body = Chain(*list(model.trunk)[1:])
    layers = tuple(step.forward for step in rest)
    yield Representation(f"`{name}`, all features", body, x, body.inverse, layers)
    yield Representation(f"`{name}`, those that decide", lambda u: body(u)[:, : model.coarse], x)


def row(one: Representation, bounds: tuple[str, str], iterations: int) -> list[str]:
    x = one.images
    met, sought = expansions(one.function, x, iterations=iterations)
    shifts = [moved(one.function, x, x.roll(c, -1)) for c in SHIFTS]
    bent = [moved(one.function, x, deformed(x, s)) / s for s in STRENGTHS]
    return [
        one.name,
        str(len(x)),
        *bounds,
        f"{met:.2f}",
        f"{sought:.2f}",
        *(f"{shift:.3f}" for shift in shifts),
        *(f"{each:.2f}" for each in bent),
    ]


def least(one: Representation, iterations: int) -> float:
    """The least singular value of the Jacobian met."""
    if one.backwards is None:
        raise ValueError(f"{one.name} has no inverse")
    with torch.no_grad():
        z = one.function(one.images[:1])
    return 1 / jacobian_norm(one.backwards, z, iterations).item()


def admissible(one: Representation, iterations: int) -> list[str]:
    """How many layers lengthen nothing at the first image, and what they do together."""
    x, norms = one.images[:1], []
    for layer in one.layers:
        norms.append(jacobian_norm(lambda u, f=layer: f(u)[0], x, iterations).item())
        with torch.no_grad():
            x = layer(x)[0]
    product = torch.tensor(norms, dtype=torch.float64).prod().item()
    calm = sum(norm <= 1 + 1e-6 for norm in norms)
    return [one.name, str(len(norms)), str(calm), f"{max(norms):.2f}", f"{product:.1e}"]


def main() -> None:
    """The command."""
    quick, began = options(__doc__).parse_args().quick, time.process_time()
    count, iterations = (1, 4) if quick else (IMAGES, ITERATIONS)
    torch.set_num_threads(1)
    rows, layers, proven = [], [], []
    for name in SHIPPED[: 1 if quick else None]:
        for one in trunks(name, count):
            if one.backwards is None:
                bounds = ("-", "-")
            else:
                most = max(jacobian_norm(one.function, x, iterations) for x in one.images.split(1))
                bounds = (f"{least(one, BACK) ** 2:.1e}", f"{most.item() ** 2:.1e}")
                layers.append(admissible(one, iterations))
            rows.append(row(one, bounds, iterations))
            print(rows[-1], flush=True)
    films = next(trunks(SHIPPED[0], count)).images
    calm = [row(Representation("the image itself", lambda u: u, films), ("1", "1"), iterations)]
    for one, front in scatterings(films):
        low, high = front.frame_bounds()
        calm.append(row(one, (f"{low:.3f}", f"{high:.6f}"), iterations))
        told = [f"{front.shift_bound(c):.3f}" for c in SHIFTS]
        proven.append([one.name, "yes", "1", *told])
        print(calm[-1], flush=True)
    tables = stability(calm + rows, proven, layers)
    for table in tables:
        print(table.markdown())
    write(
        System(
            4,
            "stability",
            "Scattering and frame bounds",
            CLAIMED,
            measured(calm, rows),
            "none: nothing is drawn but the probes, seed 0",
            USEFUL,
        ),
        BUILT,
        tables,
        seconds=time.process_time() - began,
        quick=quick,
    )


def stability(
    rows: list[list[str]], proven: list[list[str]], layers: list[list[str]]
) -> list[Table]:
    heads = ("", "images", "A", "B", "lengthens pairs by", "lengthens, sought")
    heads += tuple(f"shift by {c}" for c in SHIFTS)
    heads += tuple(f"deformation, gradient {s}" for s in STRENGTHS)
    note = (
        "Of standardised images. A and B: frame bounds. Lengthens: the largest ratio of a "
        "difference of features to that of images, among pairs and as sought at each image. Shift: "
        "movement of the features as a share of the image's length about its mean when the image "
        "moves circularly by so many pixels. Deformation: the same, divided by the gradient of the "
        "displacement. Largest of the images."
    )
    columns = ("", "admissible", "lengthens at most", *(f"shift by {c} at most" for c in SHIFTS))
    heads_of_layers = ("", "layers", "of norm 1 or less", "largest norm", "product of norms")
    return [
        Table("Stability", heads, rows, note),
        Table("What is proven of scattering", columns, proven, "See `measures.shift_bound`."),
        Table(
            "Layers of the trunks",
            heads_of_layers,
            layers,
            "Largest singular value of each layer's Jacobian at one image, by power iteration. "
            "Admissible is a trunk of which every layer has a norm of at most 1.",
        ),
    ]


def measured(calm: list[list[str]], rows: list[list[str]]) -> str:
    whole = [one for one in rows if "all features" in one[0]]
    most = [float(one[5]) for one in whole]
    shifts = [float(one[6]) for one in whole]
    met, sought = (max(float(one[k]) for one in calm[1:]) for k in (4, 5))
    return (
        f"Scattering has B = {calm[1][3]}, lengthened no pair by more than {met} (sought: "
        f"{sought}) and moves by {calm[-1][6]} of the image's length when it shifts by a pixel, "
        f"J = 3. Trunks are not admissible: they lengthen differences by up to {min(most):.1f} to "
        f"{max(most):.1f}, and a shift by a pixel moves all features by {min(shifts):.2f} to "
        f"{max(shifts):.2f}."
    )


if __name__ == "__main__":
    main()
