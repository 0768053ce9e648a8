"""Invertible layers: networks that run backwards. Knows torch and nothing of medicine."""

from medinv.layers.base import Chain, Inverse, Invertible
from medinv.layers.check import RoundTrip, round_trip
from medinv.layers.conv import InvertibleConv2d
from medinv.layers.coupling import AdditiveCoupling, AffineCoupling
from medinv.layers.multiscale import Multiscale
from medinv.layers.pointwise import ActNorm, FrozenNorm, LeakyReLU
from medinv.layers.reshape import Haar, Squeeze

__all__ = [
    "ActNorm",
    "AdditiveCoupling",
    "AffineCoupling",
    "Chain",
    "FrozenNorm",
    "Haar",
    "Inverse",
    "Invertible",
    "InvertibleConv2d",
    "LeakyReLU",
    "Multiscale",
    "RoundTrip",
    "Squeeze",
    "round_trip",
]
