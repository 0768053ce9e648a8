"""Polar factors and positive parts of many small matrices: by factorisation on a processor; by
products of matrices alone on a graphics processor, where factorising each takes many times longer.
"""

from collections.abc import Callable

import torch
from torch import Tensor

# Odd polynomials whose composition takes 0.001 to 1 into 1 to four digits: 2505.16932.
COEFFICIENTS = (
    (8.28721201814563, -23.595886519098837, 17.300387312530933),
    (4.107059111542203, -2.9478499167379106, 0.5448431082926601),
    (3.9486908534822946, -2.908902115962949, 0.5518191394370137),
    (3.3184196573706015, -2.488488024314874, 0.51004894012372),
    (2.300652019954817, -1.6689039845747493, 0.4188073119525673),
    (1.891301407787398, -1.2679958271945868, 0.37680408948524835),
    (1.875, -1.25, 0.375),
    (1.875, -1.25, 0.375),
)


def orthogonal_factor(matrices: Tensor) -> Tensor:
    """The orthogonal factors Q (N, C, C) of real matrices' polar decompositions.

    On a graphics processor directions below about 0.0005 of a matrix's Frobenius norm are shrunk.
    """
    return _chosen(_FACTORS, matrices)(matrices)


def positive_part(matrices: Tensor) -> Tensor:
    """The positive parts (..., C, C) of Hermitian matrices: negative eigenvalues are set to 0."""
    return _chosen(_PARTS, matrices)(matrices)


def factor_by_values(matrices: Tensor) -> Tensor:
    """By the singular value decomposition."""
    left, _, right = torch.linalg.svd(matrices)
    return left @ right


def factor_by_products(matrices: Tensor) -> Tensor:
    """By an iteration of Newton and Schulz with the best coefficients; complex matrices too."""
    x = matrices / (torch.linalg.vector_norm(matrices, dim=(-2, -1), keepdim=True) + 1e-30)
    for a, b, c in COEFFICIENTS:
        gram = x @ x.mH
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x


def part_by_values(matrices: Tensor) -> Tensor:
    """By eigenvalues."""
    values, vectors = torch.linalg.eigh(matrices)
    return (vectors * values.relu()[..., None, :]) @ vectors.mH


def part_by_products(matrices: Tensor) -> Tensor:
    """(M + |M|) / 2, where |M| is M times its sign, a polar factor."""
    part = (matrices + matrices @ factor_by_products(matrices)) / 2
    return (part + part.mH) / 2


_Function = Callable[[Tensor], Tensor]
_FACTORS: dict[str, _Function] = {"cpu": factor_by_values, "cuda": factor_by_products}
_PARTS: dict[str, _Function] = {"cpu": part_by_values, "cuda": part_by_products}


def _chosen(functions: dict[str, _Function], matrices: Tensor) -> _Function:
    return functions.get(matrices.device.type, functions["cpu"])
