"""How sure the shipped models' probabilities are, written into their cards; weights stay as they are: python pipelines/card_calibration.py [MODEL...]

The chest radiograph model needs the data set that MEDINV_DATA names; the phantom model generates its own.
"""

import sys

import numpy as np

from medinv.data.sets.load import load_images
from medinv.models.store import SHIPPED, Calibration, load, read_card, save, shipped
from medinv.training.publish import calibration_uncertainty


def main(names: list[str]) -> None:
    """Measure and write; print the interval at some probabilities and the observed shares."""
    for name in names:
        model = load(name)
        wanted = model.card.config.data
        data = load_images(
            wanted
            if wanted.counts is None
            else wanted.model_copy(update={"counts": (1, *wanted.counts[1:])})
        )  # no training phantoms
        found = calibration_uncertainty(model, data)
        card = read_card(name)
        kept = {key: value for key, value in dict(card.calibration).items() if key not in found}
        weights = (SHIPPED / name / "weights.safetensors").read_bytes()
        save(
            SHIPPED / name,
            weights,
            card.model_copy(update={"calibration": Calibration(**kept, **found)}),
        )
        print(
            f"{name}: calibrated on {found['interval'].images} images of {found['interval'].patients} patients"
        )
        for probability in (0.01, 0.1, 0.5, 0.9, 0.99):
            odds = np.log(probability / (1 - probability))
            low, high = (
                1
                / (
                    1
                    + np.exp(
                        -np.interp(
                            odds, found["interval"].log_odds, getattr(found["interval"], end)
                        )
                    )
                )
                for end in ("low", "high")
            )
            print(f"  {probability:.2f}: {low:.3f} to {high:.3f}")
        for one in found["observed"]:
            share = one.share
            print(
                f"  {one.low:.2f} to {one.high:.2f}: {share.n:4} images, {one.patients:4} patients, {share.value:.3f} ({share.low:.3f} to {share.high:.3f})"
            )


if __name__ == "__main__":
    main(sys.argv[1:] or [name for name in shipped() if len(read_card(name).classes) == 2])
