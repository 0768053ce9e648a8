"""The page, in the style of the report. Each answer carries the policy of its own style and script.

Nothing is fetched but from this server; everything from outside is escaped.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from markupsafe import Markup
from starlette.responses import HTMLResponse

from medinv.models.card import Card
from medinv.report import derived, strings
from medinv.report.templating import TEMPLATES as REPORT
from medinv.report.templating import asset, environment, policy_hash
from medinv.serve.listing import PAGE, SCOPES, Filter, Row, labels
from medinv.serve.uploads import Limits, Upload

TEMPLATES = Path(__file__).parent / "templates"
REPORT_POLICY = "sandbox allow-scripts allow-downloads; frame-ancestors 'none'"
"""Of a report, beside the stricter one that it carries: whatever it holds can ask nothing here."""


@dataclass(frozen=True)
class Shown:
    """What the page shows of the results."""

    rows: Sequence[Row]  # all
    asked: Filter
    page: int  # from 1

    @property
    def fitting(self) -> list[Row]:
        """Those that fit the filter."""
        return [row for row in self.rows if self.asked.takes(row)]


def home(cards: Sequence[Card], uploads: Sequence[Upload], shown: Shown, limits: Limits) -> Any:
    """The page: where to drop, what is being done, what came of it."""
    fitting = shown.fitting
    pages = max(1, -(-len(fitting) // PAGE))
    page = min(max(shown.page, 1), pages)
    style, script = _style(), asset(TEMPLATES / "serve.js")
    policy = _policy(style, script)
    made = environment(TEMPLATES, REPORT).get_template("serve.html")
    text = made.render(
        w=strings,
        d=derived,
        policy=policy,
        style=Markup(style),
        script=Markup(script),
        cards=cards,
        uploads=uploads,
        clock=_clock,
        rows=fitting[(page - 1) * PAGE : page * PAGE],
        fitting=len(fitting),
        all=len(shown.rows),
        labels=labels(shown.rows),
        scopes=SCOPES,
        asked=shown.asked,
        page=page,
        pages=pages,
        link=lambda number: "?" + urlencode({**vars(shown.asked), "page": number}),
        limits=limits,
    )
    header = {"Content-Security-Policy": f"{policy}; frame-ancestors 'none'"}
    return HTMLResponse(text, headers=header)


def status(uploads: Sequence[Upload]) -> Any:
    """The part of the page that says what is being done."""
    made = environment(TEMPLATES, REPORT).get_template("uploads.html")
    return HTMLResponse(made.render(w=strings, uploads=uploads, clock=_clock))


def _clock(began: float) -> str:
    return datetime.fromtimestamp(began, UTC).astimezone().strftime("%H:%M")


def _policy(style: str, script: str) -> str:
    return (
        "default-src 'none'; connect-src 'self'; form-action 'self'; base-uri 'none'; "
        f"style-src '{policy_hash(style)}'; script-src '{policy_hash(script)}'"
    )


def _style() -> str:
    return asset(REPORT / "report.css") + asset(TEMPLATES / "serve.css")
