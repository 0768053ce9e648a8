"""The picture of a report for the README.

    python -m pipelines.intake.report_picture [--out FILE]

Classifies a sample study, opens its report in Chromium as a reader would at 1280 pixels, and keeps
the first screen, half as large.
"""

import argparse
import io
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).parents[2]
STUDY, MODEL = "sample_data/studies/study-03", "phantom-opacity"
WIDTH, HEIGHT = 1280, 960  # px, of the page that is kept
LARGEST = 150_000  # bytes
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def main(out: Path) -> None:
    """Write the picture, and print its size."""
    browser = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if browser is None:
        sys.exit(f"no browser on the path: install one of {', '.join(BROWSERS)}")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        command = [sys.executable, "-m", "medinv", "classify", STUDY, "--model", MODEL]
        subprocess.run([*command, "--out", str(folder / "run"), "--report"], cwd=ROOT, check=True)
        (page,) = (folder / "run" / "reports").rglob("report.html")
        shot = folder / "page.png"
        flags = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
        sheet = [f"--window-size={WIDTH},{HEIGHT}", f"--screenshot={shot}"]
        subprocess.run(
            [browser, *flags, *sheet, f"--user-data-dir={folder / 'profile'}", page.as_uri()],
            check=True,
            capture_output=True,
        )
        data = picture(Image.open(shot).convert("RGB"))
    out.write_bytes(data)
    print(f"{out}: {len(data):,} bytes")


def picture(page: Image.Image) -> bytes:
    """The page half as large, as WebP of at most LARGEST bytes."""
    small = page.resize((page.width // 2, page.height // 2), Image.Resampling.LANCZOS)
    for quality in (90, 80, 70, 60, 50):
        buffer = io.BytesIO()
        small.save(buffer, format="WEBP", quality=quality, method=6)
        if buffer.tell() <= LARGEST:
            break
    return buffer.getvalue()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "sample_data" / "report.webp")
    main(parser.parse_args().out)
