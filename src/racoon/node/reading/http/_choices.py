"""Templates to choose from, each with its quality level."""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa
from fastapi import Request

from racoon.domain.questionnaire import Template
from racoon.node.reading.reports.catalogue import level_of, newest_template, newest_templates
from racoon.node.reading.reports.choosing import begun_with
from racoon.platform.auth import User
from racoon.web.translation import language_of
from racoon.web.words import words_of


@dataclass(frozen=True)
class TemplateChoice:
    """The newest version of a template in the reader's language."""

    url: str
    title: str
    version: str
    level: str


def choice_of(request: Request, template: Template, connection: sa.Connection) -> TemplateChoice:
    """Describe a template for people who choose it."""
    language = language_of(request)
    return TemplateChoice(
        template.url,
        template.words.in_language(language),
        template.version,
        words_of(language)(level_of(template, connection)),
    )


def template_choices(request: Request) -> list[TemplateChoice]:
    """List what a new report may be written with."""
    with request.app.state.database.connect() as connection:
        found = [choice_of(request, template, connection) for template in newest_templates(connection)]
    return sorted(found, key=lambda item: item.title)


def chosen_template(
    request: Request, user: User, imaging_study_uid: str, body_part: str, asked_for: str
) -> str:
    """Return the address of the template that a reader writes with where no reading list says so.

    Raises
    ------
    ReportNotFound
        If there is none of the address that was asked for.
    """
    with request.app.state.database.connect() as connection:
        if asked_for:
            return newest_template(asked_for, connection).url
        return begun_with(connection, imaging_study_uid, user.name, body_part)
