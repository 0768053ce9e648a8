"""Seconds and bytes of one study's report, step by step: python -m pipelines.intake.report_cost [FILE] [--model phantom-opacity]

FILE: a DICOM image; without it a sample study. Medians of three runs; seconds are those of the processor on one thread, so that other work on the machine does not count.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np
import torch

from medinv.data.dicom.index import index
from medinv.data.dicom.pixels import read_pixels
from medinv.data.transforms import as_metatensor, network_intake
from medinv.explanation.explain import explain
from medinv.models.store import load
from medinv.report.background import Background
from medinv.report.content import ImageArrays, edge_letters, study_content
from medinv.report.html import write_report
from medinv.report.json import write_json
from medinv.report.pdf.document import write_pdf

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
    model, instance = load(name), index([source]).studies[0].instances[0]
    pixels = read_pixels(instance)
    image = np.asarray(
        network_intake(model.image_shape[1])(as_metatensor(pixels, instance))
    ).astype(np.uint8)
    explaining, _ = timed(lambda: explain(model, image))
    more, explanation = timed(lambda: explain(model, image, detail="report"))
    said = explanation.prediction
    found = Background(explanation.trace, explanation.neighbours, explanation.sanity)
    arrays = ImageArrays(
        pixels.display,
        pixels.aspect,
        pixels.spacing,
        edge_letters(instance.patient_orientation),
        image[0],
        explanation,
        model.card.intake,
        found,
    )
    probabilities = said.probabilities
    entry = {"sop_uid": "image", "label": said.label, "probabilities": probabilities}
    row = {
        "study_uid": "study",
        "status": "ok",
        "label": said.label,
        "probabilities": probabilities,
        "instances": [entry],
        "model": {"name": name},
    }
    content = study_content(row, {"image": arrays}, model.card)
    print(
        f"{name}, an image of {pixels.display.shape[0]} x {pixels.display.shape[1]} pixels\n\n| step | processor seconds | kilobytes |\n|---|---|---|"
    )
    print(
        f"| reconstruction, evidence, local evidence with its check, counterfactual | {explaining:.2f} | - |\n| decoded depths, similar cases, controls | {more - explaining:.2f} | - |"
    )
    with tempfile.TemporaryDirectory() as folder:
        for kind, write in (("html", write_report), ("pdf", write_pdf), ("json", write_json)):
            seconds, path = timed(lambda: write(content, Path(folder) / f"report.{kind}"))
            print(f"| report.{kind} | {seconds:.2f} | {path.stat().st_size / 1000:.0f} |")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("source", nargs="?", type=Path, default=SAMPLE)
    parser.add_argument("--model", default="phantom-opacity")
    given = parser.parse_args()
    main(given.source, given.model)
