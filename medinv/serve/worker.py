"""Classifies one upload after the other, as `medinv classify --report` does."""

import shutil
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from medinv.analysis.result import StudyResult
from medinv.batch.counts import not_read
from medinv.batch.options import Options
from medinv.batch.results import LINES
from medinv.batch.run import run
from medinv.data.dicom.index import index
from medinv.errors import MedinvError, typed
from medinv.models.base import InvertibleNetwork
from medinv.models.card import Card
from medinv.report import write
from medinv.serve.uploads import Upload, Uploads

FINDING, READING, EXPLAINING = "looking for images", "reading and classifying", "writing a report"
LOOK = 0.2  # s between looks for a new upload


class _Ended(KeyboardInterrupt):
    """As Ctrl-C ends a run: what is done is kept."""


class Worker(threading.Thread):
    """The thread that classifies. `say` is told what becomes of each upload."""

    def __init__(
        self,
        uploads: Uploads,
        models: Sequence[InvertibleNetwork],
        options: Options,
        say: Callable[[str], object] = lambda text: None,
    ):
        super().__init__(name="classify", daemon=True)
        self.uploads, self.models, self.options, self.say = uploads, models, options, say
        self.ended = threading.Event()

    def run(self) -> None:
        """Work until `ended` is set."""
        while not self.ended.wait(LOOK):
            waiting = [one for one in self.uploads.all() if one.stage == "waiting"]
            if waiting:
                self._attend(waiting[-1])

    def end(self) -> None:
        """End after the study that it is at; the upload goes on when the folder is next served."""
        self.ended.set()

    def _attend(self, upload: Upload) -> None:
        """One upload. Whatever it holds, the next one has its turn."""
        try:
            upload.note("running")
            said = self._classify(upload)
            if not self.ended.is_set():
                shutil.rmtree(upload.images, ignore_errors=True)
                upload.note("done")
                self.say(f"upload {upload.name}: {said}")
        except _Ended:
            pass
        except Exception as error:  # of ours too: the page says what kind it was
            self._failed(upload, typed(error))
        finally:
            upload.doing = ""
            if upload.removed:
                self.uploads.remove(upload)

    def _failed(self, upload: Upload, error: MedinvError) -> None:
        message = f"{error.stage} [{error.code}]: {error.message}"
        self.say(f"upload {upload.name}: {message}")
        try:
            upload.note("failed", message)
        except MedinvError:  # the disk is full: the page says so while the process lives
            upload.stage = "failed"

    def _classify(self, upload: Upload) -> str:
        def step(_: object = None) -> None:
            if self.ended.is_set() or upload.removed:
                raise _Ended

        def begin(total: int, done: int) -> None:
            upload.total, upload.done, upload.doing = total, done, READING

        def advance(result: StudyResult) -> None:
            upload.done += 1
            upload.doing = READING
            step()

        def report(result: StudyResult, card: Card, folder: Path) -> dict[str, Any]:
            upload.doing = EXPLAINING
            return once.reports(result, card, folder)

        once = write.Reports(phi=self.options.phi)
        upload.doing = FINDING
        files = index([upload.images], on_file=step)
        resume = (upload.results / LINES).exists()
        options = replace(
            self.options,
            out=upload.results,
            renderers={"report": report},
            resume=resume,
            overwrite=not resume,
        )
        summary = run(files, self.models, options, on_plan=begin, on_study=advance)
        write.index_page(summary.results, upload.results / "index.html")
        counts = summary.counts
        return (
            f"{counts['files']} files, {counts['classified']} classified, "
            f"{counts['out_of_scope']} out of scope, {counts['failed']} failed, "
            f"{counts['skipped']} skipped{not_read(counts)}"
        )
