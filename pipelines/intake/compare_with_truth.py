"""The sample studies' labels against their known truth.

python -m pipelines.intake.compare_with_truth RESULTS_DIR TRUTH.json
"""

import json
import sys
from pathlib import Path

from medinv.files import pseudonym


def main(results: Path, truth: Path) -> None:
    """Print study, truth and verdict, and how many agree, of the studies that were classified."""
    rows = {
        row["study_uid"]: row
        for row in map(json.loads, (results / "results.jsonl").read_text().splitlines())
    }
    agree = 0
    print(f"{'study':10} {'truth':9} {'planted':30} {'medinv':14} probability")
    for known in json.loads(truth.read_text()):
        row = rows.get(pseudonym(known["study_uid"], "study"))
        if row is None:
            continue
        probability = f"{row['probabilities']['opacity']:.3f}" if row["probabilities"] else "-"
        planted = (
            f"{', '.join(known['kinds'])} ({known['contrast_grey_levels']:.0f} grey levels)"
            if known["kinds"]
            else "-"
        )
        agree += row["label"] == known["label"]
        fate = row["label"] or row["status"]
        print(f"{known['study']:10} {known['label']:9} {planted:30} {fate:14} {probability}")
    print(f"{agree} of {len(rows)} as planted")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
