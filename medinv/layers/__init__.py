"""Invertible layers: networks that run backwards. Knows torch and nothing of medicine."""

from medinv.layers.base import Chain, Inverse, Invertible, LeftInvertible
from medinv.layers.bypass import Bypass
from medinv.layers.check import Certificate, Prediction, RoundTrip, certify, predict, round_trip
from medinv.layers.conv import InvertibleConv2d, InvertibleConv3d
from medinv.layers.coupling import AdditiveCoupling, AffineCoupling
from medinv.layers.equivariant import C4Conv2d
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
