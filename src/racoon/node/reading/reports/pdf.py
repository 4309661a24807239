"""Writes a report on paper as a PDF file: A4, its own fonts inside, the same bytes each time it is asked for."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from datetime import datetime
from html import escape
from typing import Any, ClassVar

from racoon.errors import Refused
from racoon.node.reading.reports.paper import ORIGINS, Paper

RESEARCH = "For research use only. Not for diagnosis."

Say = Callable[[str | None], str]


class PdfMissing(Refused):
    """PDF is written by an optional library."""

    code: ClassVar[str] = "reading.pdf_missing"
    status: ClassVar[int] = 501


def write_pdf(paper: Paper, say: Say, say_time: Callable[[datetime], str], address: str) -> bytes:
    """Write a PDF file.

    Parameters
    ----------
    say
        Says a sentence of the product in the paper's language.
    say_time
        Says a moment.
    address
        Where this node is reached, for links to images, without a slash at its end.

    Raises
    ------
    PdfMissing
        If the library is not installed.
    """
    try:
        from reportlab.lib.pagesizes import A4  # noqa: PLC0415 - optional
        from reportlab.lib.units import mm  # noqa: PLC0415 - as above
        from reportlab.platypus import SimpleDocTemplate  # noqa: PLC0415 - as above
    except ImportError:
        raise PdfMissing(
            "This node cannot write PDF files; install the extra `pdf`, or print the page of the report."
        ) from None
    styles = _styles()

    def frame(canvas: Any, document: Any) -> None:
        canvas.saveState()
        canvas.setFont("Vera", 7.5)
        canvas.setFillGray(0.35)
        canvas.drawString(20 * mm, 10 * mm, say(RESEARCH))
        canvas.drawRightString(A4[0] - 20 * mm, 10 * mm, f"{say('Page')} {document.page}")
        canvas.drawRightString(A4[0] - 20 * mm, A4[1] - 12 * mm, f"{paper.report.pseudonym}")
        canvas.restoreState()

    sink = io.BytesIO()
    document = SimpleDocTemplate(
        sink,
        pagesize=A4,
        leftMargin=20 * mm,
        rightMargin=20 * mm,
        topMargin=20 * mm,
        bottomMargin=20 * mm,
        title=f"{paper.title}, {paper.report.pseudonym}",
        author=paper.report.author,
        subject=say(RESEARCH),
        creator="RACOON",
        lang=paper.language,
        invariant=1,
    )
    document.build(list(_story(paper, say, say_time, address, styles)), onFirstPage=frame, onLaterPages=frame)
    return sink.getvalue()


def _styles() -> dict[str, Any]:
    from reportlab.lib.styles import ParagraphStyle  # noqa: PLC0415 - optional
    from reportlab.pdfbase import pdfmetrics  # noqa: PLC0415 - as above
    from reportlab.pdfbase.ttfonts import TTFont  # noqa: PLC0415 - as above

    for name in ("Vera", "VeraBd"):
        if name not in pdfmetrics.getRegisteredFontNames():
            pdfmetrics.registerFont(TTFont(name, f"{name}.ttf"))
    pdfmetrics.registerFontFamily("Vera", normal="Vera", bold="VeraBd", italic="Vera", boldItalic="VeraBd")
    body = ParagraphStyle("body", fontName="Vera", fontSize=9, leading=12.5)
    return {
        "body": body,
        "question": ParagraphStyle("question", body, textColor="#444444"),
        "small": ParagraphStyle("small", body, fontSize=7.5, leading=10, textColor="#444444", wordWrap="CJK"),
        "title": ParagraphStyle("title", body, fontName="VeraBd", fontSize=15, leading=19, spaceAfter=6),
        "h0": ParagraphStyle(
            "h0", body, fontName="VeraBd", fontSize=11, leading=15, spaceBefore=9, keepWithNext=1
        ),
        "h1": ParagraphStyle("h1", body, fontName="VeraBd", spaceBefore=5, keepWithNext=1),
        "notice": ParagraphStyle(
            "notice",
            body,
            borderColor="#777777",
            borderWidth=0.6,
            borderPadding=5,
            spaceBefore=10,
            spaceAfter=8,
        ),
    }


def _story(
    paper: Paper, say: Say, say_time: Callable[[datetime], str], address: str, styles: dict[str, Any]
) -> Iterator[Any]:
    from reportlab.platypus import Paragraph  # noqa: PLC0415 - optional

    report = paper.report
    yield Paragraph(escape(paper.title), styles["title"])
    yield Paragraph(f"<b>{escape(say(RESEARCH))}</b>", styles["body"])
    if paper.later:
        yield Paragraph(escape(say("A later version of this report was signed.")), styles["notice"])
    version = str(report.version)
    if report.kind == "amended":
        version += f" · {say('amended')}: {report.text}"
    yield _table(
        [
            (say("Subject"), escape(report.pseudonym)),
            (say("Imaging study"), escape(report.imaging_study_uid)),
            (say("Signed"), escape(f"{report.author}, {say_time(report.signed_at)}")),
            (say("Version"), escape(version)),
            (say("Template"), escape(f"{paper.template} · {say(paper.level)}")),
        ],
        styles,
    )
    if paper.decision:
        yield Paragraph(escape(say("Decision between two readings")), styles["h0"])
        names = ", ".join(str(item["reader"]) for item in paper.decision["readings"])
        said = f"{say('Decided by')} {paper.decision['adjudicator']}, {say('after both readers had signed')}: {names}"
        yield Paragraph(escape(said), styles["body"])
    yield from _answers(paper, say, address, styles)
    for item in paper.addenda:
        who = escape(f"{item.author}, {say_time(item.signed_at)}")
        said = f"{escape(item.text)}<br/><font size=7.5>{who}</font>"
        yield Paragraph(f"<b>{escape(say('Addendum'))}</b><br/>{said}", styles["notice"])
    for level in paper.origins:
        yield Paragraph(escape(f"{say(level)}: {say(ORIGINS[level])}"), styles["small"])
    if paper.others:
        yield Paragraph(escape(say("Earlier and later versions")), styles["h1"])
        for item in paper.others:
            said = f"{item.version} · {say(item.kind)} · {say_time(item.signed_at)} · {item.sha256[:16]}"
            yield Paragraph(escape(said), styles["small"])
    filed = f" · DICOM SR {report.sr_instance_uid}" if report.sr_instance_uid else ""
    yield Paragraph(escape(f"SHA-256 {report.sha256}{filed}"), styles["small"])
    if paper.credit:
        yield Paragraph(escape(paper.credit), styles["small"])


def _answers(paper: Paper, say: Say, address: str, styles: dict[str, Any]) -> Iterator[Any]:
    from reportlab.platypus import Paragraph  # noqa: PLC0415 - optional

    rows: list[tuple[str, str]] = []
    for line in paper.lines:
        if not line.text:
            if rows:
                yield _table(rows, styles)
                rows = []
            yield Paragraph(escape(line.question), styles["h0" if line.depth == 0 else "h1"])
            continue
        text = f"<b>{escape(line.text)}</b>".replace("\n", "<br/>")
        if line.finding_id:
            link = f"{address}/reading/findings/{line.finding_id}"
            text += f' <a href="{escape(link)}" color="#0b57a4">{escape(say("from the image"))}</a>'
        if line.level:
            text += f" <font size=7>[{escape(say(line.level))}]</font>"
        for code in line.codes:
            text += f"<br/><font size=7>{escape(code)}</font>"
        rows.append((line.question, text))
    if rows:
        yield _table(rows, styles)


def _table(rows: list[tuple[str, str]], styles: dict[str, Any]) -> Any:
    """Return questions and answers side by side; the answers are markup already."""
    from reportlab.lib.units import mm  # noqa: PLC0415 - optional
    from reportlab.platypus import Paragraph, Table  # noqa: PLC0415 - as above

    cells = [
        [Paragraph(escape(name), styles["question"]), Paragraph(text, styles["body"])] for name, text in rows
    ]
    style = [
        ("VALIGN", (0, 0), (-1, -1), "TOP"),
        ("LEFTPADDING", (0, 0), (-1, -1), 0),
        ("TOPPADDING", (0, 0), (-1, -1), 1.5),
        ("BOTTOMPADDING", (0, 0), (-1, -1), 1.5),
    ]
    return Table(cells, colWidths=[62 * mm, 108 * mm], style=style, hAlign="LEFT")
