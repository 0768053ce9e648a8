"""What asks a server as our own page does, or as a stranger does."""

import http.client
import json
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from medinv.serve.server import Server


class Client:
    """Asks as our own page does, unless told otherwise."""

    def __init__(self, address: str):
        parts = urlsplit(address)
        self.host, self.path = parts.netloc, parts.path

    def ask(
        self, method: str, path: str, data: bytes = b"", *, root: str | None = None, **headers: Any
    ) -> SimpleNamespace:
        """The status, the headers and the body of an answer; a header of None is not sent."""
        sent = {"Host": self.host, "Origin": f"http://{self.host}"}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        connection = http.client.HTTPConnection(self.host, timeout=60)
        try:
            connection.putrequest(
                method, (self.path if root is None else root) + path, skip_host=True
            )
            for name, value in {**sent, "Content-Length": len(data)}.items():
                if value is not None:
                    connection.putheader(name, value)
            connection.endheaders(data)
            answer = connection.getresponse()
            return SimpleNamespace(
                status=answer.status, headers=answer.headers, text=answer.read().decode()
            )
        finally:
            connection.close()

    def upload(self, *files: tuple[str, bytes]) -> str:
        """Send files, each with the ending of its name; returns the upload's name."""
        name = json.loads(self.ask("POST", "uploads").text)["upload"]
        for number, (ending, data) in enumerate(files, start=1):
            took = self.ask("PUT", f"uploads/{name}/files/{number}?ending={ending}", data)
            assert took.status == 204, took.text
        assert self.ask("POST", f"uploads/{name}/finish").status == 204
        return name


def ended(server: "Server", *names: str, seconds: float = 240) -> None:
    """Wait until uploads are through."""
    end = time.monotonic() + seconds
    while any(server.uploads.find(name).stage not in ("done", "failed") for name in names):
        assert time.monotonic() < end, "the upload does not come to an end"
        time.sleep(0.05)
