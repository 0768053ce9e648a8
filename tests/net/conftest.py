"""An archive, a sender and certificates for every test of the room."""

from archives import archive, certificates, second, storescu  # noqa: F401 (fixtures)
