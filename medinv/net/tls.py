"""TLS contexts in which both sides show a certificate."""

import ssl

from medinv.errors import ConfigError
from medinv.net.settings import Tls


def server_context(tls: Tls) -> ssl.SSLContext:
    """For those that call us: they must show a certificate of the authority.

    Raises ConfigError for files that cannot be used.
    """
    context = _loaded(ssl.Purpose.CLIENT_AUTH, tls)
    context.verify_mode = ssl.CERT_REQUIRED
    return context


def client_context(tls: Tls) -> ssl.SSLContext:
    """For those we call: their certificate must be of the authority and for their address.

    Raises ConfigError for files that cannot be used.
    """
    return _loaded(ssl.Purpose.SERVER_AUTH, tls)


def _loaded(purpose: ssl.Purpose, tls: Tls) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(purpose, cafile=str(tls.authority))
        context.load_cert_chain(str(tls.certificate), str(tls.key))
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(
            f"expected readable PEM files for tls (certificate {tls.certificate}, key, authority"
            f" {tls.authority}): {error}"
        ) from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context
