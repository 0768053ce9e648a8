"""Sentences of the proof: what was checked, and what came out."""

from medinv.report.strings.numbers import number, signed


def certificate(exact: bool, pixels: int, bits: int, error: float, dtype: str) -> str:
    verdict_words = f"Exact: all {pixels:,} stored values came back" if exact else f"Not exact: not all of the {pixels:,} stored values came back"
    return f"{verdict_words} after rounding ({bits} bit, arithmetic in {dtype}). Largest error before rounding: {number(error, 2)} grey levels."


def identity(positive: str) -> str:
    return (
        "For this image the network is one affine map: pixel contributions and a constant sum to the logit, "
        f"the calibrated log-odds of {positive}, whose sigmoid is the probability."
    )


IDENTITY_REFERENCE = "Contributions are counted from the mean grey level that the model subtracts: a pixel of that brightness carries nothing."


def cancellation(towards: float, against: float) -> str:
    """Claims that contributions cancel only where less than a tenth of their size is left."""
    left = towards + against
    if abs(left) < 0.1 * (towards - against):
        return f"Pixel contributions largely cancel: {signed(towards)} and {signed(against)} leave {signed(left)}."
    return f"Pixel contributions sum to {signed(towards)} and {signed(against)}, which leaves {signed(left)}."


IDENTITY_TERMS = (
    "Pixels above zero",
    "Pixels below zero",
    "Constant (no pixel carries it)",
    "Logit that the network computes",
    "Residual of the sum",
)


def decoded_alt(height: int, width: int, error: float) -> str:
    return f"What the features decode to: {height} by {width} grey levels, at most {number(error, 2)} from the input."


def error_alt(scale: float) -> str:
    return f"Error of the reconstruction: {f'at most {number(scale, 2)} grey levels in size' if scale else 'zero everywhere'}."


def error_note(scale: float) -> str:
    size = f"full colour is \u00b1{number(scale, 2)} grey levels" if scale else "zero everywhere"
    return f"Decoded minus input: {size}."
