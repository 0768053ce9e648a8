"""Who may ask, and what every answer tells the browser.

Other pages that the user has open can send requests here, and a name that they own may be made to
point here (DNS rebinding). So each request must name this very address as its host, begin its path
with a token that only the command printed, and, where it changes anything, come from our own page.
The token stands in the path rather than in a cookie: a browser sends the cookies of 127.0.0.1 to
every port of it, hence to the servers of other users of the machine.
"""

import hmac
import secrets
from collections.abc import Iterable

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

SAFE = ("GET", "HEAD")
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
CLOSED = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
"""The policy of answers that set none of their own."""


def new_token() -> str:
    """256 bits that nobody can guess, in letters of an address."""
    return secrets.token_urlsafe(32)


class Guard:
    """ASGI middleware: lets through what may be asked, without the token in its path."""

    def __init__(self, app: ASGIApp, token: str, hosts: Iterable[str]):
        self.app, self._token, self._hosts = app, token.encode(), frozenset(hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or say why not."""

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
                headers.setdefault("Content-Security-Policy", CLOSED)
            await send(message)

        if scope["type"] != "http":
            return
        refusal, path = self._judge(scope)
        if refusal is not None:
            await refusal(scope, receive, send_with_headers)
            return
        inside = {**scope, "path": path, "raw_path": path.encode(), "root_path": ""}
        await self.app(inside, receive, send_with_headers)

    def _judge(self, scope: Scope) -> tuple[Response | None, str]:
        """Why it is refused, or None, and the path behind the token."""
        headers = Headers(scope=scope)
        if headers.getlist("host") not in [[host] for host in self._hosts]:
            return _refused("this server answers to its own address alone", 421), ""
        _, _, rest = scope["path"].partition("/")
        token, slash, path = rest.partition("/")
        if not hmac.compare_digest(token.encode("utf-8", "surrogateescape"), self._token):
            return _refused("open the address that medinv serve printed, as a whole", 403), ""
        if not slash:
            return Response(status_code=308, headers={"Location": f"/{token}/"}), ""
        if scope["method"] not in SAFE and not self._ours(headers):
            return _refused("this was sent by another page", 403), ""
        return None, f"/{path}"

    def _ours(self, headers: Headers) -> bool:
        """Whether a request comes from a page of this server, as browsers let no page deny."""
        origins = headers.getlist("origin")
        return (
            len(origins) == 1
            and origins[0] in {f"http://{host}" for host in self._hosts}
            and headers.get("sec-fetch-site", "same-origin") == "same-origin"
        )


def _refused(why: str, status: int) -> Response:
    return PlainTextResponse(f"medinv: {why}\n", status)
