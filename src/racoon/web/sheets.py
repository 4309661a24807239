"""Forms and applications as PDF files: A4, fonts inside, the same bytes for the same content.

The page with the same content is the accessible form; the file is what committees print and file.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any, ClassVar

from racoon.errors import Refused


class PdfMissing(Refused):
    """PDF is written by an optional library."""

    code: ClassVar[str] = "web.pdf_missing"
    status: ClassVar[int] = 501


@dataclass(frozen=True)
class Block:
    """A heading with questions and answers below it.

    Parameters
    ----------
    heading
        In the sheet's language.
    rows
        Question and answer; an empty answer leaves a line to write on where ``is_to_fill``.
    is_to_fill
        Whether empty answers are filled in by hand.
    """

    heading: str
    rows: Sequence[tuple[str, str]]
    is_to_fill: bool = False


@dataclass(frozen=True)
class Sheet:
    """What stands on the paper.

    Parameters
    ----------
    title, subtitle
        Above everything.
    lead
        Paragraphs before the blocks.
    blocks
        Content.
    foot, page_word
        At the bottom of each page, and the word before its number.
    language
        Of the text.
    """

    title: str
    subtitle: str
    lead: Sequence[str]
    blocks: Sequence[Block]
    foot: str
    page_word: str
    language: str


def write_sheet(sheet: Sheet) -> bytes:
    """Write a PDF file.

    Raises
    ------
    PdfMissing
        When the optional library is not installed.
    """
    try:
        from reportlab.lib.pagesizes import A4  # noqa: PLC0415 - optional
        from reportlab.lib.units import mm  # noqa: PLC0415 - as above
        from reportlab.platypus import SimpleDocTemplate  # noqa: PLC0415 - as above
    except ImportError:
        raise PdfMissing(
            "This server cannot write PDF files; install the extra `pdf`, or print the page."
        ) from None

    def frame(canvas: Any, document: Any) -> None:
        canvas.saveState()
        canvas.setFont("Vera", 7.5)
        canvas.setFillGray(0.35)
        canvas.drawString(20 * mm, 10 * mm, sheet.foot)
        canvas.drawRightString(A4[0] - 20 * mm, 10 * mm, f"{sheet.page_word} {document.page}")
        canvas.restoreState()

    sink = io.BytesIO()
    document = SimpleDocTemplate(
        sink,
        pagesize=A4,
        leftMargin=20 * mm,
        rightMargin=20 * mm,
        topMargin=18 * mm,
        bottomMargin=18 * mm,
        title=sheet.title,
        subject=sheet.subtitle,
        creator="RACOON",
        lang=sheet.language,
        invariant=1,
    )
    document.build(list(_story(sheet)), onFirstPage=frame, onLaterPages=frame)
    return sink.getvalue()


def _styles() -> dict[str, Any]:
    from reportlab.lib.styles import ParagraphStyle  # noqa: PLC0415 - optional
    from reportlab.pdfbase import pdfmetrics  # noqa: PLC0415 - as above
    from reportlab.pdfbase.ttfonts import TTFont  # noqa: PLC0415 - as above

    for name in ("Vera", "VeraBd"):
        if name not in pdfmetrics.getRegisteredFontNames():
            pdfmetrics.registerFont(TTFont(name, f"{name}.ttf"))
    body = ParagraphStyle("body", fontName="Vera", fontSize=9, leading=12.5)
    return {
        "body": body,
        "question": ParagraphStyle("question", body, textColor="#444444"),
        "title": ParagraphStyle("title", body, fontName="VeraBd", fontSize=15, leading=19, spaceAfter=4),
        "subtitle": ParagraphStyle("subtitle", body, fontName="VeraBd", spaceAfter=6),
        "heading": ParagraphStyle(
            "heading", body, fontName="VeraBd", fontSize=11, leading=15, spaceBefore=9, keepWithNext=1
        ),
    }


def _story(sheet: Sheet) -> Iterator[Any]:
    from reportlab.lib.units import mm  # noqa: PLC0415 - optional
    from reportlab.platypus import Paragraph, Table  # noqa: PLC0415 - as above

    styles = _styles()
    yield Paragraph(_plain(sheet.title), styles["title"])
    yield Paragraph(_plain(sheet.subtitle), styles["subtitle"])
    for text in sheet.lead:
        yield Paragraph(_plain(text), styles["body"])
    for block in sheet.blocks:
        if not block.rows:
            continue
        yield Paragraph(_plain(block.heading), styles["heading"])
        blank = "_" * 44 if block.is_to_fill else "–"
        cells = [
            [Paragraph(_plain(name), styles["question"]), Paragraph(_plain(text or blank), styles["body"])]
            for name, text in block.rows
        ]
        look = [
            ("VALIGN", (0, 0), (-1, -1), "TOP"),
            ("LEFTPADDING", (0, 0), (-1, -1), 0),
            ("TOPPADDING", (0, 0), (-1, -1), 1.5),
            ("BOTTOMPADDING", (0, 0), (-1, -1), 1.5),
        ]
        # An answer may be longer than a page: rows split.
        yield Table(cells, colWidths=[62 * mm, 108 * mm], style=look, hAlign="LEFT", splitInRow=1)


def _plain(text: str) -> str:
    """Escape markup and keep line breaks; control characters have no letter in any font."""
    kept = "".join(letter for letter in text if letter == "\n" or letter.isprintable())
    return escape(kept).replace("\n", "<br/>")
