"""Seconds and bytes of one study's report, step by step.

    python -m pipelines.intake.report_cost [FILE] [--model phantom-opacity]

FILE: a DICOM image; without it a sample study. Medians of three runs; seconds are those of the
processor on one thread, so that other work on the machine does not count.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import torch

import medinv
from medinv.report.write import reports

SAMPLE = Path(__file__).parents[2] / "sample_data" / "studies" / "study-03"


def timed(action: Callable[[], object]) -> tuple[float, object]:
    """Median seconds of three runs, and the last result."""
    seconds = []
    for _ in range(3):
        start = time.process_time()
        result = action()
        seconds.append(time.process_time() - start)
    return median(seconds), result


def main(source: Path, name: str) -> None:
    """Print a table for the README."""
    torch.set_num_threads(1)
    model = medinv.load(name)
    result = medinv.classify(source, model, explain=True)[0]
    (frame, *_) = (image.pixels for image in result.instances if image.explanation)
    image = frame.input
    brief, _ = timed(lambda: medinv.explain(model, image))
    whole, _ = timed(lambda: medinv.explain(model, image, detail="report"))
    sides = " x ".join(map(str, frame.display.shape))
    print(f"{name}, an image of {sides} pixels\n")
    print("| step | processor seconds | kilobytes |\n|---|---|---|")
    parts = "reconstruction, evidence, local evidence with its check, counterfactual"
    print(f"| {parts} | {brief:.2f} | - |")
    print(f"| decoded depths, similar cases, controls | {whole - brief:.2f} | - |")
    with tempfile.TemporaryDirectory() as folder:
        seconds, written = timed(lambda: reports(result, model.card, Path(folder)))
        files = sorted((Path(folder) / written["report"]).parent.iterdir())
        print(
            f"| {', '.join(path.name for path in files)} | {seconds:.2f} | "
            f"{', '.join(f'{path.stat().st_size / 1000:.0f}' for path in files)} |"
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("source", nargs="?", type=Path, default=SAMPLE)
    parser.add_argument("--model", default="phantom-opacity")
    given = parser.parse_args()
    main(given.source, given.model)
