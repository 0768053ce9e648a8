"""Where a result goes: a file of rules, by model, label, probability and scope.

    routes:
      - when: {model: chest-xray, probability: {pneumonia: [0.8, 1]}}
        send_to: [archive, worklist]   # peers of the network file
        tag: [urgent]                  # words for what reads routes.json beside the results
      - when: {scope: [out, failed]}
        tag: [look-at-it]
    otherwise:
      send_to: [archive]

Every route that fits counts; `otherwise` is for results that none fits. A probability that may not
be told, as of an image out of scope, lies within no bounds. Of studies that are out of scope,
failed or skipped there are no DICOM results to be sent: tag them.
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from medinv.analysis.result import OUT_OF_SCOPE, StudyResult
from medinv.errors import ConfigError
from medinv.files import write_whole
from medinv.net.settings import Network

FILE = "routes.json"
Scope = Literal["in", "out", "failed", "skipped"]
Share = Annotated[float, Field(ge=0, le=1)]
Tag = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


def _one_or_more(value: object) -> object:
    """A word alone stands for a list of it."""
    return (value,) if isinstance(value, str) else value


class When(_Frozen):
    """What a result must be; what is not named may be anything."""

    model: str | None = None
    label: tuple[str, ...] = ()  # any of them
    scope: tuple[Scope, ...] = ()  # any of them
    probability: dict[str, tuple[Share, Share]] = {}  # of each class named, both ends included

    @field_validator("label", "scope", mode="before")
    @classmethod
    def _several(cls, value: object) -> object:
        return _one_or_more(value)

    def fits(self, result: StudyResult) -> bool:
        """Whether a result is such a one."""
        told = result.probabilities if result.in_scope and result.probabilities else {}
        return (
            self.model in (None, result.model.name)
            and (not self.label or result.outcome in self.label)
            and (not self.scope or _scope(result) in self.scope)
            and all(
                name in told and low <= told[name] <= high
                for name, (low, high) in self.probability.items()
            )
        )


class Destination(_Frozen):
    """Peers that the DICOM results are sent to, and words that stand beside them."""

    send_to: tuple[str, ...] = ()
    tag: tuple[Tag, ...] = ()

    @field_validator("send_to", "tag", mode="before")
    @classmethod
    def _several(cls, value: object) -> object:
        return _one_or_more(value)


class Route(Destination):
    """Where such results go."""

    when: When = When()


class Routes(_Frozen):
    """All rules."""

    routes: tuple[Route, ...] = ()
    otherwise: Destination = Destination()

    def of(self, result: StudyResult) -> Destination:
        """Where a result goes, each place and word once."""
        fitting: list[Destination] = [one for one in self.routes if one.when.fits(result)]
        fitting = fitting or [self.otherwise]
        return Destination(
            send_to=tuple(dict.fromkeys(name for one in fitting for name in one.send_to)),
            tag=tuple(dict.fromkeys(word for one in fitting for word in one.tag)),
        )

    def check(self, network: Network) -> None:
        """Raise ConfigError for a peer that the network file does not name."""
        places: tuple[Destination, ...] = (*self.routes, self.otherwise)
        for name in (name for one in places for name in one.send_to):
            network.peer(name)


def load_routes(path: Path, network: Network) -> Routes:
    """Read the file. Raises ConfigError that names the place within it."""
    try:
        routes = Routes.model_validate(yaml.safe_load(path.read_text("utf-8")) or {})
    except OSError as error:
        raise ConfigError(f"the rules cannot be read: {error.strerror}", path=path) from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise ConfigError(f"{place}: {first['msg']}; see configs/routes.yaml", path=path) from error
    except (yaml.YAMLError, ValueError) as error:
        raise ConfigError("expected YAML; see configs/routes.yaml", path=path) from error
    routes.check(network)
    return routes


def routed(routes: Routes, results: Iterable[StudyResult], folder: Path) -> dict[str, list[Path]]:
    """The DICOM results by the peer that they go to; what rules decided stands in `routes.json`.

    Raises OutputError.
    """
    files: dict[str, list[Path]] = {}
    decided = []
    for result in results:
        goes = routes.of(result)
        for name in goes.send_to:
            files.setdefault(name, []).extend(folder / place for place in result.dicom)
        named = {"study_uid": result.study_uid, "model": result.model.name}
        decided.append({**named, "outcome": result.outcome, **goes.model_dump(mode="json")})
    if routes.routes or routes.otherwise.tag:
        write_whole(folder / FILE, json.dumps(decided, indent=1).encode())
    return files


def _scope(result: StudyResult) -> Scope:
    if result.status != "ok":
        return result.status
    return "out" if result.label == OUT_OF_SCOPE else "in"
