"""Invertible layers: networks that run backwards. Knows torch and nothing of medicine.

From installation to a trained, inverted and certified stack (`pip install .` in a checkout):

>>> import torch
>>> from medinv.layers import *
>>> _ = torch.manual_seed(0)

A layer is a bijection of batches of images (N, C, H, W). It has `forward`, `inverse`, `log_det`;
a `Chain` of layers is a layer. Convolutions are the framework's own on the way out, with circular,
zero, reflect or replicate padding, and are inverted exactly, not by an approximation:

>>> def block(channels):
...     return [InvertibleConv2d(channels, padding="zeros"), ActNorm(channels), LeakyReLU(0.7)]
>>> scaling = FrozenNorm([128.0], [64.0])
>>> stack = Chain(scaling, Haar(), *block(4), *block(4), Haar(), *block(16))
>>> images = torch.randint(0, 256, (32, 1, 16, 16)).float()
>>> _ = stack.initialise(images)
>>> stack(images).shape, stack.log_det(images).shape
(torch.Size([32, 16, 4, 4]), torch.Size([32]))

Train it as any module: here as a density (`Flow`), of which it must then be a good one. What keeps
kernels invertible while they learn is a density's own log-determinant, the penalty of
`linalg.symbol.orthogonality_penalty`, or `bound_condition`, which no training can exceed.

>>> flow = Flow(stack, StandardNormal((16, 4, 4)))
>>> optimiser = torch.optim.Adam(flow.parameters(), lr=3e-3)
>>> before = flow.log_prob(images).mean().item()
>>> for _ in range(10):
...     optimiser.zero_grad()
...     loss = -flow.log_prob(images).mean()
...     loss.backward()
...     optimiser.step()
>>> flow.log_prob(images).mean().item() > before
True
>>> flow.sample((2,)).shape
torch.Size([2, 1, 16, 16])

Run it backwards, after training, at any size, in float32 or float64:

>>> with torch.no_grad():
...     restored = stack.inverse(stack(images))
>>> torch.equal(restored.round(), images)
True

Before its inverse is ever run, `predict` says from the layers' spectra what will come back, and
`certify` holds that against what does. `amplification` is what an error in the output grows to:

>>> told = certify(stack.double().eval(), images.double(), bits=8)
>>> bool(told.predicted_exact.all()), told.all_exact
(True, True)
>>> 1 < told.amplification <= told.amplification_bound
True

An ordinary trained convolution is taken over by `from_conv`; `null_directions` in `linalg.spectrum`
names what one loses that has no inverse. Training without stored activations is `Reversible`,
integers that return bit for bit `IntegerCoupling`, `IntegerHaar` and `LeGall53`; couplings take any
network as `subnet` and a `condition`; `C4Squeeze` and `C4Conv2d` turn with the image.

A new layer is one class with three methods, shown in `Invertible`, and one line in `tests/laws.py`,
whose laws hold for it then: the inverse both ways, log_det against the dense Jacobian, derivatives
to second order, no neighbour in the batch felt, 16, 32 and 64 bits, empty batches, saved weights.
"""

from medinv.layers.base import Chain, Inverse, Invertible, LeftInvertible
from medinv.layers.bypass import Bypass
from medinv.layers.check import Certificate, Prediction, RoundTrip, certify, predict, round_trip
from medinv.layers.conv import InvertibleConv2d, InvertibleConv3d
from medinv.layers.coupling import AdditiveCoupling, AffineCoupling
from medinv.layers.equivariant import C4Conv2d, C4Squeeze
from medinv.layers.flow import Flow, StandardNormal
from medinv.layers.from_conv import from_conv
from medinv.layers.haar import Haar, Haar3d
from medinv.layers.injective import InjectiveConv2d
from medinv.layers.integer import IntegerCoupling
from medinv.layers.lifting import IntegerHaar, LeGall53
from medinv.layers.linalg.bounds import SpectrumBounds, spectrum_bounds
from medinv.layers.multiscale import Multiscale
from medinv.layers.normalisation import ActNorm, FrozenNorm, InvertibleBatchNorm
from medinv.layers.parametrize import bound_condition
from medinv.layers.pointwise import AsinhActivation, LeakyReLU, SmoothLeakyReLU, SoftLeakyReLU
from medinv.layers.pyramid import ConditionalMultiscale
from medinv.layers.reshape import ChannelFlip, ChannelPadding, Squeeze
from medinv.layers.reversible import Reversible
from medinv.layers.subnets import attention
from medinv.layers.volumes import OnVolumes

__all__ = [
    "ActNorm",
    "AdditiveCoupling",
    "AffineCoupling",
    "AsinhActivation",
    "Bypass",
    "C4Conv2d",
    "C4Squeeze",
    "Certificate",
    "Chain",
    "ChannelFlip",
    "ChannelPadding",
    "ConditionalMultiscale",
    "Flow",
    "FrozenNorm",
    "Haar",
    "Haar3d",
    "InjectiveConv2d",
    "IntegerCoupling",
    "IntegerHaar",
    "Inverse",
    "Invertible",
    "InvertibleBatchNorm",
    "InvertibleConv2d",
    "InvertibleConv3d",
    "LeGall53",
    "LeakyReLU",
    "LeftInvertible",
    "Multiscale",
    "OnVolumes",
    "Prediction",
    "Reversible",
    "RoundTrip",
    "SmoothLeakyReLU",
    "SoftLeakyReLU",
    "SpectrumBounds",
    "Squeeze",
    "StandardNormal",
    "attention",
    "bound_condition",
    "certify",
    "from_conv",
    "predict",
    "round_trip",
    "spectrum_bounds",
]
