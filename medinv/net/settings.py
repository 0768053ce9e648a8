"""The network file: who we are, who may call us, whom we call.

Frozen; unknown keys are errors; loopback unless said otherwise.
"""

import ipaddress
from pathlib import Path
from typing import Annotated

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from medinv.errors import ConfigError

AETitle = Annotated[
    str, Field(pattern=r"^[\x21-\x5b\x5d-\x7e](?:[\x20-\x5b\x5d-\x7e]{0,14}[\x21-\x5b\x5d-\x7e])?$")
]
Port = Annotated[int, Field(ge=1, le=65535)]


def plain_address(text: str) -> str:
    """An IP address in one spelling: without the zone, and as IPv4 where IPv6 wraps one.

    Raises ValueError for anything else.

    >>> plain_address("::ffff:10.0.0.1")
    '10.0.0.1'
    """
    address = ipaddress.ip_address(text.partition("%")[0])
    return str(getattr(address, "ipv4_mapped", None) or address)


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Tls(_Frozen):
    """PEM files. Who calls us must show a certificate of the authority, and whom we call too."""

    certificate: Path
    key: Path
    authority: Path


class Caller(_Frozen):
    """A node that may open associations: both must fit."""

    ae_title: AETitle
    address: str

    @field_validator("address")
    @classmethod
    def _address(cls, value: str) -> str:
        return plain_address(value)


class DicomPeer(_Frozen):
    """A node that speaks DIMSE."""

    ae_title: AETitle
    address: str
    port: Port
    tls: bool = False


class WebPeer(_Frozen):
    """A DICOMweb server. Credentials come from ~/.netrc, never from here."""

    url: str = Field(pattern=r"^https?://[^@\s]+$")


Peer = DicomPeer | WebPeer


class Network(_Frozen):
    """All of it. `callers` may store; `answer_to` names the peer that results go to."""

    ae_title: AETitle = "MEDINV"
    address: str = "127.0.0.1"
    port: Port = 11112
    callers: tuple[Caller, ...] = ()
    peers: dict[str, Peer] = {}
    answer_to: str | None = None
    quiet_seconds: float = Field(default=20.0, gt=0)  # without a new image: a study is complete
    keep_hours: float = Field(default=24.0, ge=0)  # for an answered study's images, if more come
    tries: int = Field(default=5, ge=1)  # of one sending, before it is put off
    tls: Tls | None = None

    @field_validator("address")
    @classmethod
    def _address(cls, value: str) -> str:
        return str(ipaddress.ip_address(value))

    @model_validator(mode="after")
    def _consistent(self) -> "Network":
        if self.answer_to is not None and self.answer_to not in self.peers:
            raise ValueError(
                f"answer_to names {self.answer_to!r}, which is not among the peers:"
                f" {', '.join(self.peers) or 'none'}"
            )
        if self.tls is None and any(
            isinstance(peer, DicomPeer) and peer.tls for peer in self.peers.values()
        ):
            raise ValueError(
                "a peer asks for tls: the section tls must name certificate, key and authority"
            )
        return self

    def peer(self, name: str) -> Peer:
        """A peer of the file, an http(s) address, or AETITLE@HOST:PORT. Raises ConfigError."""
        if name in self.peers:
            return self.peers[name]
        try:
            if name.startswith(("http://", "https://")):
                return WebPeer(url=name)
            title, _, place = name.rpartition("@")
            address, _, port = place.rpartition(":")
            return DicomPeer.model_validate(
                {"ae_title": title, "address": address.strip("[]"), "port": port}
            )
        except ValidationError as error:
            known = f" ({', '.join(self.peers)})" if self.peers else ""
            raise ConfigError(
                f"expected a peer of the network file{known}, an http(s) address or"
                f" AETITLE@HOST:PORT; got {name!r}"
            ) from error


def load_network(path: Path | None) -> Network:
    """Read the file; without one, the defaults: loopback, nobody may call.

    Paths in it are seen from its folder. Raises ConfigError.
    """
    if path is None:
        return Network()
    try:
        tree = yaml.safe_load(path.read_text()) or {}
    except FileNotFoundError as error:
        raise ConfigError("no such network file; see configs/network.yaml", path=path) from error
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"expected a readable YAML file: {error}", path=path) from error
    if isinstance(tree, dict) and isinstance(tree.get("tls"), dict):
        tree["tls"] = {
            key: path.parent / value if isinstance(value, str) else value
            for key, value in tree["tls"].items()
        }
    try:
        return Network.model_validate(tree)
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, e['loc'])) or 'top'}: {e['msg']}" for e in error.errors()
        )
        raise ConfigError(problems, path=path) from error
