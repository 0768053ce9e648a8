"""What pages are made with: templates that escape everything, styles and scripts, their hashes."""

import base64
import hashlib
from functools import cache
from pathlib import Path

import jinja2

TEMPLATES = Path(__file__).parent / "templates"


@cache
def environment(*folders: Path) -> jinja2.Environment:
    """Templates of the folders, the first that has a name counts; what is not given is an error."""
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(folders),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


@cache
def asset(path: Path) -> str:
    """A style or a script."""
    return path.read_text("utf-8")


def policy_hash(text: str) -> str:
    """By which a content security policy allows a style or a script that stands in the page."""
    digest = hashlib.sha256(text.encode("utf-8")).digest()
    return "sha256-" + base64.b64encode(digest).decode("ascii")
