"""A web server that answers every STOW-RS request as it is told to, rightly or wrongly, and our own
service.
"""

import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from archives import eventually

from medinv.models.base import InvertibleNetwork
from medinv.net.receive import Service
from medinv.net.routing import Routes
from medinv.net.settings import Network, WebPeer

JSON = "application/dicom+json"


def referenced(uid: str, **more: dict) -> dict:
    """An item of ReferencedSOPSequence or FailedSOPSequence."""
    return {"00081155": {"vr": "UI", "Value": [uid]}, **more}


def sequences(stored: list[dict], failed: list[dict] = []) -> bytes:  # noqa: B006 (not changed)
    """The JSON of an answer."""
    tree = {}
    for tag, items in (("00081199", stored), ("00081198", failed)):
        if items:
            tree[tag] = {"vr": "SQ", "Value": items}
    return json.dumps(tree).encode()


class Web:
    """`status`, `kind` and `body` are what it answers; `bodies` is what it was sent."""

    def __init__(self) -> None:
        self.status, self.kind, self.body = 200, JSON, b""
        self.headers: dict[str, str] = {}
        self.bodies: list[bytes] = []
        self.peer = WebPeer(url="http://127.0.0.1")

    def answers(self, status: int, kind: str, body: bytes, **headers: str) -> None:
        self.status, self.kind, self.body, self.headers = status, kind, body, headers


@contextmanager
def web() -> Iterator[Web]:
    """One at a free port."""
    made = Web()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            made.bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(made.status)
            for name, value in (("Content-Type", made.kind), *made.headers.items()):
                if value:
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(made.body)))
            self.end_headers()
            self.wfile.write(made.body)

        def do_GET(self) -> None:  # where a redirect would lead
            self.do_POST()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made.peer = WebPeer(url=f"http://127.0.0.1:{server.server_address[1]}/dicom-web")
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield made
    finally:
        server.shutdown()
        server.server_close()
        thread.join(30)


@contextmanager
def serving(
    network: Network,
    folder: Path,
    models: Sequence[InvertibleNetwork] = (),
    kind: type[Service] = Service,
    routes: Routes | None = None,
) -> Iterator[list[str]]:
    """A service, without a model unless one is given; gives what it says."""
    said, stop = [], threading.Event()
    service = kind(network, models, folder, said.append, routes)
    thread = threading.Thread(target=service.run, args=(stop,))
    thread.start()
    try:
        eventually(lambda: said)
        yield said
    finally:
        stop.set()
        thread.join(60)
