"""Invertible layers: networks that run backwards. Knows torch and nothing of medicine."""

from medinv.layers.base import Chain, Inverse, Invertible, LeftInvertible
from medinv.layers.check import RoundTrip, round_trip
from medinv.layers.conv import InvertibleConv2d
from medinv.layers.coupling import AdditiveCoupling, AffineCoupling
from medinv.layers.multiscale import Multiscale
from medinv.layers.pointwise import ActNorm, FrozenNorm, LeakyReLU
from medinv.layers.reshape import ChannelPadding, Haar, Squeeze

__all__ = [
    "ActNorm",
    "AdditiveCoupling",
    "AffineCoupling",
    "Chain",
    "ChannelPadding",
    "FrozenNorm",
    "Haar",
    "Inverse",
    "Invertible",
    "InvertibleConv2d",
    "LeakyReLU",
    "LeftInvertible",
    "Multiscale",
    "RoundTrip",
    "Squeeze",
    "round_trip",
]
