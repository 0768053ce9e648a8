"""In which precision features are decoded: float32 where that gives the image back, else float64.

Float32 is tried where the layers' spectra say that it will do (`layers.check.expected_error`, once
a network, on two fixed images), and float64 is used where they do not, or where the one image does
not come back in float32 all the same. Logits are the network's own in either case.
"""

import copy
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from medinv.errors import MedinvError
from medinv.layers import Chain
from medinv.layers.check import MARGIN, expected_error
from medinv.models.base import InvertibleNetwork


@dataclass(frozen=True)
class Decoded:
    """What features gave back of one image."""

    image: Tensor  # (1, C, *size) grey levels, unrounded
    exact: bool  # every value comes back after rounding
    max_abs_error: float  # grey levels
    dtype: str  # in which it was decoded


_Weights = tuple[tuple[int, int], ...]
_singles: WeakKeyDictionary[InvertibleNetwork, tuple[_Weights, Chain | None]] = WeakKeyDictionary()


def precision(network: InvertibleNetwork) -> torch.dtype:
    """The type in which features are decoded first: float32 where that is predicted to do."""
    return _own_type(network) if _single(network) is None else torch.float32


class Decoder:
    """Decodes features of a network whose weights stay as they are meanwhile."""

    def __init__(self, network: InvertibleNetwork):
        self._network, self._single = network, _single(network)

    def __call__(self, z: Tensor, x: Tensor) -> list[Decoded]:
        """The features `z` (N, C', *size') of images `x` (N, C, *size), decoded and compared.

        `z` may hold more behind those of `x`, to fill a pass. In float64 each is decoded alone:
        products of several images round by their places there, on `cifar10`. Raises what the
        network's inverse raises.
        """
        single, invert = self._single, self._network.invert
        tried = () if single is None else _compared(single.inverse(z.float())[: len(x)], x)
        return [
            tried[k]
            if tried and tried[k].exact
            else _compared(invert(z[k : k + 1]), x[k : k + 1])[0]
            for k in range(len(x))
        ]


def decode(network: InvertibleNetwork, z: Tensor, x: Tensor) -> list[Decoded]:
    """The same at once: see `Decoder`."""
    return Decoder(network)(z, x)


def _compared(images: Tensor, x: Tensor) -> list[Decoded]:
    dtype = str(images.dtype).removeprefix("torch.")
    errors = (images - x).flatten(1).abs().amax(1).tolist()
    exact = (images.round() == x).flatten(1).all(1).tolist()
    return [Decoded(images[k : k + 1], exact[k], errors[k], dtype) for k in range(len(images))]


def _single(network: InvertibleNetwork) -> Chain | None:
    """The trunk in float32, once it is known to suffice; None where it does not, or is the own."""
    if _own_type(network) == torch.float32:
        return None
    weights = tuple((p.data_ptr(), p._version) for p in network.trunk.parameters())
    known = _singles.get(network)
    if known is None or known[0] != weights:
        with torch.inference_mode(False), torch.enable_grad():
            known = weights, _sufficing(network)
        _singles[network] = known
    return known[1]


def _sufficing(network: InvertibleNetwork) -> Chain | None:
    trunk = copy.deepcopy(network.trunk).float().eval().requires_grad_(False)
    try:
        error = expected_error(trunk, _probes(network).float()).max().item()
    except (MedinvError, RuntimeError):  # what cannot be told in float32 is not done there
        return None
    return trunk if error * MARGIN < 0.5 else None


def _probes(network: InvertibleNetwork) -> Tensor:
    """Grey levels (2, C, *size): noise, and a ramp."""
    shape, generator = network.image_shape, torch.Generator().manual_seed(0)
    noise = torch.randint(0, 256, shape, generator=generator)
    ramp = torch.linspace(0, 255, shape[-1]).round().expand(shape)
    return torch.stack([noise.double(), ramp.double()]).to(next(network.parameters()).device)


def _own_type(network: InvertibleNetwork) -> torch.dtype:
    return next(network.parameters()).dtype
