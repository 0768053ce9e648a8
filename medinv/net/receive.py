"""The service: takes images, classifies each study when it is complete, and sends the results to the archive that the network file names."""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

from medinv.batch.options import Options
from medinv.batch.results import Results
from medinv.batch.run import run
from medinv.data.dicom.index import index
from medinv.errors import MedinvError
from medinv.models.density import Classifier
from medinv.net.inbox import Inbox, Waiting
from medinv.net.listener import listening
from medinv.net.send import dicom_files, send
from medinv.net.settings import Network
from medinv.report.write import dicom

LOG = logging.getLogger("medinv.net")
LOOK = 0.5  # s between looks at the disk
FIRST, LONGEST = 30.0, 900.0  # s that a study is put off after a failure, doubled each time


class Service:
    """What one `medinv receive` does. Received images stay on the disk until they are classified and answered."""

    def __init__(
        self,
        network: Network,
        models: Sequence[Classifier],
        folder: Path,
        say: Callable[[str], object] = lambda text: None,
    ):
        self.network, self.models, self.say = network, models, say
        self.inbox = Inbox(folder)
        self._put_off: dict[
            str, tuple[float, float]
        ] = {}  # study: when to try again (monotonic), how long it was put off

    def run(self, stop: threading.Event) -> None:
        """Serve until `stop` is set. A study that is being classified then is finished first. Raises ConfigError when the port cannot be had."""
        with closing(self.inbox), listening(self.network, self.network.callers, self.inbox.keep):
            self.say(
                f"{self.network.ae_title} listens at {self.network.address}:{self.network.port}"
            )
            while not stop.wait(LOOK):
                for study in self.inbox.due(self.network.quiet_seconds):
                    if (
                        not stop.is_set()
                        and time.monotonic() >= self._put_off.get(study.name, (0.0, 0.0))[0]
                    ):
                        self._attend(study)
                self.inbox.forget(self.network.keep_hours)

    def _attend(self, study: Waiting) -> None:
        try:
            if study.stage == "received":
                self._classify(study)
                self.inbox.note(study, "classified")
            self._answer(study)
            failed = any(
                result.status == "failed"
                for result in Results(self.inbox.results(study.name))
            )
            self.inbox.note(study, "failed" if failed else "answered")
            self._put_off.pop(study.name, None)
        except MedinvError as error:
            self._put_it_off(study, f"{error.stage} [{error.code}]: {error.message}")
        except Exception as error:  # one study must not end the service; what it was may name a patient, what kind it was does not
            self._put_it_off(study, f"unexpected {type(error).__name__}")

    def _put_it_off(self, study: Waiting, why: str) -> None:
        delay = min(2 * self._put_off.get(study.name, (0.0, FIRST / 2))[1], LONGEST)
        self._put_off[study.name] = time.monotonic() + delay, delay
        self.say(f"{study.name}: {why}; tried again in {delay:.0f} s")

    def _classify(self, study: Waiting) -> None:
        found = index([study.folder / "images"])
        summary = run(
            found, self.models, Options(self.inbox.results(study.name), {"dicom": dicom}, overwrite=True)
        )
        for result in summary.results:
            code = f" ({result.error.code})" if result.error else ""
            said = result.label or f"{result.status}{code}"
            kept = (
                "; its images are kept, send it again to have it tried again"
                if result.status == "failed"
                else ""
            )
            self.say(
                f"{study.name}: {result.model.name}: {said}{kept}"
                + "".join(f"; {warning}" for warning in result.warnings)
            )

    def _answer(self, study: Waiting) -> None:
        """Send the results there are. Raises the first error, so that the study is answered again as a whole: what has arrived is not doubled."""
        reports = self.inbox.results(study.name) / "reports"
        files = dicom_files([reports]) if any(reports.rglob("*.dcm")) else []
        if self.network.answer_to is None or not files:
            return
        for sent in send(files, self.network.peer(self.network.answer_to), self.network):
            if sent.error:
                raise sent.error
        self.say(f"{study.name}: {len(files)} objects sent to {self.network.answer_to}")
