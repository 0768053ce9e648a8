"""The report as one HTML file that opens offline: styles, script and pictures inline, nothing fetched, everything from outside escaped.

The page's content security policy names its own style and script by hash and allows no other, so that a string that slipped through could not run.
"""

import base64
import hashlib
import re
from collections import Counter
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from medinv.report import figures, strings
from medinv.report.content import StudyContent
from medinv.report.entries import IndexEntry
from medinv.report.output import write_page

TEMPLATES = Path(__file__).parent / "templates"
SHOWN_IN_FULL = 6  # images; a study of many slices stays a page that opens
THUMBNAILS = 48
THUMBNAIL = 128  # px


def write_report(content: StudyContent, path: Path, *, beside: Sequence[str] = ()) -> Path:
    """Write one study's page, with links to the files `beside` it; raises OutputError when it cannot be written."""
    ranked = content.ranked()
    panels = tuple(
        figures.panel(image) for image in ranked[: SHOWN_IN_FULL if content.in_scope else 1]
    )
    many = len(content.images) > 1
    thumbnails = {
        image.number: figures.native(image.arrays.display, image.arrays.aspect, THUMBNAIL)
        for image in ranked[:THUMBNAILS]
        if many
    }
    return _write(
        path,
        "report.html",
        sheet=content.study_uid or "",
        c=content,
        beside=beside,
        panels=panels,
        thumbnails=thumbnails,
        evidence_bar=figures.colour_bar(figures.EVIDENCE),
        change_bar=figures.colour_bar(figures.CHANGE),
    )


def write_index(entries: Sequence[IndexEntry], path: Path) -> Path:
    """Write a batch's page: one line a result, with filter and sorting; raises OutputError when it cannot be written."""
    return _write(
        path,
        "index.html",
        sheet="",
        entries=entries,
        parts=Counter(outcome(entry) for entry in entries),
        outcome=outcome,
    )


def outcome(entry: IndexEntry) -> str:
    """What became of a study: its label, out of scope, failed or skipped."""
    return entry.status if entry.status != "ok" else entry.label or strings.FLAG_OUT_OF_SCOPE


def _write(path: Path, template: str, *, sheet: str, **values: Any) -> Path:
    style = Markup(_asset("report.css") + _page_margins(sheet))
    script = Markup(_asset(template.replace(".html", ".js")))
    page = (
        _environment()
        .get_template(template)
        .render(w=strings, style=style, script=script, policy=_policy(style, script), **values)
    )
    return write_page(path, page.encode("utf-8"))


def _policy(style: str, script: str) -> str:
    return f"default-src 'none'; img-src data:; style-src '{_hash(style)}'; script-src '{_hash(script)}'; base-uri 'none'; form-action 'none'"


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode(
        "ascii"
    )


def _page_margins(sheet: str) -> str:
    """Margins of each printed page: the disclaimer, the study (letters that cannot leave a CSS string only) and the page's number."""
    study = re.sub(r"[^A-Za-z0-9._-]", "", sheet)[:64]
    disclaimer = re.sub(r'[\\"<>\n]', "", strings.RESEARCH_USE)
    return (
        f'@page{{@top-left{{content:"{disclaimer}"}}@top-right{{content:"{strings.TITLE}"}}'
        f'@bottom-left{{content:"{study}"}}@bottom-right{{content:counter(page) " / " counter(pages)}}}}\n'
        # Some browsers print no page margins: headings carry the disclaimer too.
        f'@media print{{.where::after,header:not(.verdict)>h1::after,section:not(.notice)>h2:not(.unseen)::after{{content:"{disclaimer}"}}}}\n'
    )


@cache
def _asset(name: str) -> str:
    return (TEMPLATES / name).read_text("utf-8")


@cache
def _environment() -> jinja2.Environment:
    loader = jinja2.FileSystemLoader(TEMPLATES)
    return jinja2.Environment(
        loader=loader,
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
