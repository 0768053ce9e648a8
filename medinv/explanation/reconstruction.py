"""The input, decoded from the features."""

import torch
from torch import Tensor

from medinv.explanation.result import Reconstruction
from medinv.layers import round_trip
from medinv.models.density import Classifier


@torch.no_grad()
def reconstruct(model: Classifier, x: Tensor, *, bits: int = 8) -> Reconstruction:
    """Decode the features of one image `x` (1, 1, H, W), integers of `bits` bits, and compare."""
    trip = round_trip(model.trunk, x, bits=bits)
    return Reconstruction(
        trip.restored[0, 0].cpu().numpy(), trip.all_exact, bits, trip.max_abs_error, trip.dtype
    )
