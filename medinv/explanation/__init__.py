'''Why a model answers as it does: exact sums, decoded images, and what would change the answer.

`explain.explain(model, image, detail=...)` is the one entry; `result` says what it gives.

To add an explanation, write one file with a frozen dataclass that holds its figures, its arrays and
the residual of what it claims, and a function that makes it of a model and an image:

    """How much of the decision the borders carry."""

    from dataclasses import dataclass

    from torch import Tensor

    from medinv.explanation.result import Explanation
    from medinv.explanation.trunk import Asked

    WIDTH = 2  # pixels


    @dataclass(frozen=True)
    class Border:
        """inside + border + constant = logit, exactly."""

        inside: float  # log-odds that pixels off the border carry
        border: float  # log-odds that pixels on the border carry
        constant: float  # log-odds that no pixel carries
        residual: float  # |inside + border + constant - logit|


    def border(model: Asked, x: Tensor, so_far: Explanation) -> Border:
        """The evidence of one image `x` (1, C, H, W) on its border and off it, log-odds."""
        whole = so_far.evidence
        inside = float(whole.contributions[WIDTH:-WIDTH, WIDTH:-WIDTH].sum())
        edge = float(whole.contributions.sum()) - inside
        return Border(inside, edge, whole.bias, abs(inside + edge + whole.bias - whole.logit))

Then name it in two places: a field `border: Border | None = None` of `result.Explanation`, and a
line `Part("border", "report", border)` in `explain.PARTS`, which says from which detail on it is
made. Its figures stand in the JSON of `medinv explain` by themselves; arrays are named in
`result.arrays`. A way to make a counterfactual is one file in `counterfactual/` and one line of
`counterfactual.WAYS`.
'''
