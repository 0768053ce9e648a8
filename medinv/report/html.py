"""The report as one HTML file that opens offline, and the page that lists a run.

Styles, script and pictures are inline, nothing is fetched, everything from outside is escaped. The
page's content security policy names its own style and script by hash and allows no other, so that a
string that slipped through could not run.
"""

import re
from collections import Counter
from collections.abc import Iterable
from typing import Any

from markupsafe import Markup

from medinv.analysis.result import StudyResult
from medinv.models.card import Card
from medinv.report import derived, drawing, strings
from medinv.report.figures import Pictures
from medinv.report.templating import TEMPLATES, asset, environment, policy_hash


def render(result: StudyResult, card: Card, pictures: Pictures) -> bytes:
    """One study's page, with links to the same as PDF and JSON beside it."""
    visible = derived.presented(result)
    return page(
        "report.html",
        visible.study_uid,
        scripted="report.js",
        result=visible,
        card=card,
        told=visible.answer,
        warnings=derived.warnings(visible, card),
        pictures=pictures,
        beside=("report.pdf", "report.json"),
        evidence_bar=drawing.colour_bar(drawing.EVIDENCE),
        change_bar=drawing.colour_bar(drawing.CHANGE),
    )


def render_index(results: Iterable[StudyResult]) -> bytes:
    """A run's page: one line a result, with filter and sorting."""
    visible = [derived.presented(result) for result in results]
    parts = Counter(result.outcome for result in visible)
    values = {"results": visible, "parts": parts, "flags": flags}
    return page("index.html", "", scripted="index.js", **values)


def flags(result: StudyResult) -> tuple[str, ...]:
    """What a reader of the list should know of a result beside its label."""
    outside = len(result.instances) - derived.in_scope_count(result)
    trip, error = result.reconstruction, result.error
    texts = [
        strings.counted(outside, strings.FLAG_OUTSIDE) if result.in_scope else "",
        strings.FLAG_NOT_EXACT if trip and not trip.exact else "",
        strings.counted(len(result.broken), strings.FLAG_BROKEN),
        strings.counted(len(result.skipped), strings.FLAG_SKIPPED),
        strings.counted(len(result.warnings), strings.FLAG_WARNING),
        f"{error.code}: {error.message}" if error else "",
    ]
    return tuple(flag for flag in texts if flag)


def page(template: str, sheet: str, *, scripted: str = "", **values: Any) -> bytes:
    """A page of a template, with the script of that name; `sheet` at the foot of its paper."""
    style = Markup(asset(TEMPLATES / "report.css") + _page_margins(sheet))
    script = Markup(asset(TEMPLATES / scripted) if scripted else "")
    made = environment(TEMPLATES).get_template(template)
    fixed = {"w": strings, "d": derived, "style": style, "script": script}
    return made.render(**fixed, policy=_policy(style, script), **values).encode("utf-8")


def _policy(style: str, script: str) -> str:
    allowed = f"'{policy_hash(script)}'" if script else "'none'"
    return (
        f"default-src 'none'; img-src data:; style-src '{policy_hash(style)}'; "
        f"script-src {allowed}; base-uri 'none'; form-action 'none'"
    )


def _page_margins(sheet: str) -> str:
    """Margins of each printed page: the disclaimer, the study and the page's number.

    Of the study only such letters are printed as cannot leave a CSS string.
    """
    study = re.sub(r"[^A-Za-z0-9._-]", "", sheet)[:64]
    disclaimer = re.sub(r'[\\"<>\n]', "", strings.RESEARCH_USE)
    return (
        f'@page{{@top-left{{content:"{disclaimer}"}}@top-right{{content:"{strings.TITLE}"}}'
        f'@bottom-left{{content:"{study}"}}'
        '@bottom-right{content:counter(page) " / " counter(pages)}}\n'
        # Some browsers print no page margins: headings carry the disclaimer too.
        "@media print{.where::after,header:not(.verdict)>h1::after,"
        f'section:not(.notice)>h2::after,summary>h2::after{{content:"{disclaimer}"}}}}\n'
    )
