"""What the shipped models reach on their test sets.

    python -m pipelines.shipped.run [--model NAME ...]

Every metric of every card is measured anew, and the round trip of every test image in both
precisions. Needs MEDINV_DATA. About two processor minutes for the radiographs, twenty for cifar10.
"""

import argparse
import json
import time
from typing import Any

from medinv.data.sets.load import load_images
from medinv.models.store import load, shipped
from medinv.training.publish import exactness, measure
from pipelines.record import RESULTS, Table, record

WHAT = {
    "auc": "AUC",
    "accuracy": "accuracy",
    "sensitivity": "sensitivity",
    "specificity": "specificity",
}


def measured(name: str) -> dict[str, Any]:
    """The numbers of one model by `NAME.metric`."""
    model = load(name)
    data = load_images(model.card.config.data)
    came = exactness(model, data.test.images)
    numbers: dict[str, Any] = {
        key: {"value": e.value, "low": e.low, "high": e.high, "n": e.n}
        for key, e in measure(model, data.test).items()
    }
    numbers["test_images"] = len(data.test)
    numbers["exact_float64"], numbers["exact_float32"] = came.share_float64, came.share_float32
    numbers["max_abs_error_float64"] = came.max_abs_error_float64
    numbers["same_data"] = data.sha256() == model.card.data_sha256
    return {f"{name}.{key}": value for key, value in numbers.items()}


def row(name: str, numbers: dict[str, Any]) -> list[str]:
    """A model's line of the page."""
    cells = [name, str(numbers[f"{name}.test_images"])]
    for key in WHAT:
        value = numbers.get(f"{name}.{key}")
        cells.append(
            f"{value['value']:.3f} ({value['low']:.3f} to {value['high']:.3f})" if value else "-"
        )
    exact = (numbers[f"{name}.exact_float64"], numbers[f"{name}.exact_float32"])
    return [
        *cells,
        f"{exact[0]:.2%} / {exact[1]:.2%}",
        f"{numbers[f'{name}.max_abs_error_float64']:.1e}",
    ]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", nargs="*", default=shipped(), help="others keep their numbers")
    chosen, began = parser.parse_args().model, time.process_time()
    before = RESULTS / "shipped.json"
    numbers = json.loads(before.read_text())["numbers"] if before.is_file() else {}
    for name in chosen:
        numbers |= measured(name)
    there = [name for name in shipped() if f"{name}.test_images" in numbers]
    columns = (
        "model",
        "test images",
        *WHAT.values(),
        "exact, float64 / float32",
        "largest error, float64",
    )
    note = (
        "95 % intervals in brackets; the last two columns are of the round trip of all test images."
    )
    page = record(
        "shipped",
        title="The shipped models on their test sets",
        claim="Measured anew from the weights that come with the package; the cards say the same.",
        tables=[Table("Metrics", columns, [row(name, numbers) for name in there], note)],
        numbers=numbers,
        made={
            "command": "python -m pipelines.shipped.run",
            "processor seconds": round(time.process_time() - began),
        },
    )
    print(page.read_text())
