"""The service: takes images, classifies each study when it is complete, answers to an archive."""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path

from medinv.batch.options import Options
from medinv.batch.results import Results
from medinv.batch.run import run
from medinv.data.dicom.index import index
from medinv.errors import DataError, MedinvError
from medinv.models.base import InvertibleNetwork
from medinv.net.inbox import IMAGES, Inbox, Waiting
from medinv.net.listener import listening
from medinv.net.memory import give_back
from medinv.net.results import results_named
from medinv.net.routing import Destination, Routes, routed
from medinv.net.send import send
from medinv.net.settings import Network
from medinv.report.write import dicom

LOG = logging.getLogger("medinv.net")
LOOK = 0.5  # s between looks at the disk
FIRST, LONGEST = 30.0, 900.0  # s that something is put off after a failure, doubled each time
_INBOX = "the inbox"


class Service:
    """What one `medinv receive` does.

    Received images stay on the disk until they are classified and answered. `say` is told what
    becomes of each study; `routes` say where its results go: without, all to `answer_to`. Raises
    ConfigError when another service works in the folder, OutputError when it cannot be written.
    """

    def __init__(
        self,
        network: Network,
        models: Sequence[InvertibleNetwork],
        folder: Path,
        say: Callable[[str], object] = lambda text: None,
        routes: Routes | None = None,
    ):
        self.network, self.models, self.say = network, models, say
        self.routes = routes or _answer_all(network)
        self.inbox = Inbox(folder)
        self._put_off: dict[str, tuple[float, float]] = {}  # until when (monotonic), for how long

    def run(self, stop: threading.Event) -> None:
        """Serve until `stop` is set. A study that is being classified then is finished first.

        Raises ConfigError when the port cannot be had.
        """
        with closing(self.inbox), listening(self.network, self.network.callers, self.inbox.keep):
            self.say(
                f"{self.network.ae_title} listens at {self.network.address}:{self.network.port}"
            )
            while not stop.wait(LOOK):
                self._tried(_INBOX, lambda: self._look(stop))

    def _look(self, stop: threading.Event) -> None:
        for study in self.inbox.due(self.network.quiet_seconds):
            if not stop.is_set():
                self._tried(study.name, partial(self._attend, study))
        self.inbox.forget(self.network.keep_hours)

    def _tried(self, name: str, action: Callable[[], None]) -> None:
        """Do it, or put it off: neither one study nor one bad file ends the service."""
        if time.monotonic() < self._put_off.get(name, (0.0, 0.0))[0]:
            return
        try:
            action()
            self._put_off.pop(name, None)
        except MedinvError as error:
            self._put_it_off(name, f"{error.stage} [{error.code}]: {error.message}")
        except Exception as error:  # what it was may name a patient, what kind it was does not
            self._put_it_off(name, f"unexpected {type(error).__name__}")

    def _put_it_off(self, name: str, why: str) -> None:
        delay = min(2 * self._put_off.get(name, (0.0, FIRST / 2))[1], LONGEST)
        self._put_off[name] = time.monotonic() + delay, delay
        self.say(f"{name}: {why}; tried again in {delay:.0f} s")

    def _attend(self, study: Waiting) -> None:
        if study.stage == "received" or not self._has_results(study):
            self._classify(study)
            self.inbox.note(study, "classified")
        self._answer(study)
        results = Results(self.inbox.results(study.name))
        failed = any(result.status == "failed" for result in results)
        self.inbox.note(study, "failed" if failed else "answered")
        give_back()

    def _has_results(self, study: Waiting) -> bool:
        try:
            results_named(self.inbox.results(study.name))
            return True
        except DataError:  # cut, or deleted by somebody
            return False

    def _classify(self, study: Waiting) -> None:
        options = Options(self.inbox.results(study.name), {"dicom": dicom}, overwrite=True)
        for result in run(index([study.folder / IMAGES]), self.models, options).results:
            code = f" ({result.error.code})" if result.error else ""
            said = result.label or f"{result.status}{code}"
            if result.status == "failed":
                said += "; its images are kept, send it again to have it tried again"
            warnings = "".join(f"; {warning}" for warning in result.warnings)
            self.say(f"{study.name}: {result.model.name}: {said}{warnings}")

    def _answer(self, study: Waiting) -> None:
        """Send the results there are.

        Raises the first error, so that the study is answered again as a whole: what has arrived
        is not doubled.
        """
        folder = self.inbox.results(study.name)
        results_named(folder)  # all are there
        for peer, files in routed(self.routes, Results(folder), folder).items():
            if not files:
                continue
            for sent in send(files, self.network.peer(peer), self.network):
                if sent.error:
                    raise sent.error
            self.say(f"{study.name}: {len(files)} objects sent to {peer}")


def _answer_all(network: Network) -> Routes:
    everything = () if network.answer_to is None else (network.answer_to,)
    return Routes(otherwise=Destination(send_to=everything))
