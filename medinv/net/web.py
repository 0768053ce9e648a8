"""What all calls of a DICOMweb server share: the session, and what its failures mean."""

from collections.abc import Iterator
from contextlib import contextmanager

import requests
import urllib3

from medinv.errors import RefusedError, UnreachableError
from medinv.net.settings import Network, WebPeer

TIMEOUT = 30.0  # s for an answer
_BUSY = (408, 425, 429, 500, 502, 503, 504)


def session_of(network: Network) -> requests.Session:
    """With our certificate, where the network file has one."""
    session = requests.Session()
    if network.tls:
        session.verify = str(network.tls.authority)
        session.cert = str(network.tls.certificate), str(network.tls.key)
    return session


@contextmanager
def answered(peer: WebPeer, what: str) -> Iterator[None]:
    """Make what goes wrong in the block UnreachableError (to be tried again) or RefusedError."""
    try:
        yield
    except requests.HTTPError as error:
        code = error.response.status_code if error.response is not None else 0
        said = f"{what}: {peer.url} answered with status {code}"
        if code in _BUSY:
            raise UnreachableError(said) from error
        hint = "; credentials belong in ~/.netrc" if code == 401 else ""
        raise RefusedError(said + hint) from error
    except (requests.ConnectionError, requests.Timeout, urllib3.exceptions.HTTPError) as error:
        raise UnreachableError(
            f"{what}: expected {peer.url} to answer; no connection came about"
            f" ({type(error).__name__})"
        ) from error
    except (requests.RequestException, ValueError) as error:
        raise RefusedError(
            f"{what}: {peer.url} answered with something that is no DICOMweb"
            f" ({type(error).__name__})"
        ) from error
