"""The page of a report: one HTML file that needs nothing else, from templates that escape what they are given."""

from __future__ import annotations

from typing import Any

from ._tables import NOTHING

__all__ = ["page"]


def page(template: str, **values: Any) -> str:
    """Fill in a template.

    Parameters
    ----------
    template : str
        The name of a file in ``templates``, such as ``"comparison.html.j2"``.
    **values : any
        What it needs. Text is escaped; plots are passed as ``markupsafe.Markup``.

    Returns
    -------
    str
        The page.

    Raises
    ------
    jinja2.UndefinedError
        If a value is missing.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader(__package__),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template(template).render(nothing=NOTHING, **values)
