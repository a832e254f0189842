"""The papers that docstrings name: read from their ``References`` sections, written as BibTeX.

House format: ``.. [1] AUTHORS, "TITLE", WHERE. DOI:... (if CONDITION)``. WHERE is ``JOURNAL VOLUME (YEAR) PAGES``,
``in PROCEEDINGS (YEAR) PAGES``, ``in BOOK, PUBLISHER YEAR, chapter 3``, or for a book ``2nd ed., PUBLISHER YEAR``.
DOI and condition may be missing. A condition says for which settings the paper stands: ``method="otsu"``,
``smoothness > 0``, ``features has "hessian"``, several of them joined by ``or``.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["Reference", "escaped", "references_of"]

_SECTION = re.compile(r"^References\n-{3,}\n(.*?)(?=^\w[\w ]*\n-{3,}$|\Z)", re.MULTILINE | re.DOTALL)
_ITEM = re.compile(r"^\.\. \[\d+\] ", re.MULTILINE)
_WHOLE = re.compile(
    r'(?P<authors>[^"]+), "(?P<title>[^"]+)", (?P<where>.+?)\.?'
    r"(?: DOI:(?P<doi>\S+))?(?: \(if (?P<condition>[^()]+)\))?"
)
_PAGES = r"(?: (?P<pages>[\w.-]+))?(?:, (?P<part>.+))?"
_PLACES = {
    "inproceedings": re.compile(rf"in (?P<booktitle>.+?) \((?P<year>\d{{4}})\){_PAGES}"),
    "incollection": re.compile(r"in (?P<booktitle>.+), (?P<publisher>[^,]+) (?P<year>\d{4})(?:, (?P<part>.+))?"),
    "article": re.compile(rf"(?P<journal>.+?)(?: (?P<volume>\d+\w?))? \((?P<year>\d{{4}})\){_PAGES}"),
    "book": re.compile(
        r"(?:(?P<edition>\w+) ed\., )?(?P<publisher>[^,()]+) (?P<year>\d{4})"
        r"(?:, (?P<part>(?:chapter|section|pages?) .+))?"
    ),
}
"""How each kind of work says where it appeared; the first that fits is taken."""

_INITIALS = re.compile(r"(?:-?[A-Z][a-z]?\. ?)+")
_SMALL = {"a", "an", "the", "on", "of", "in", "for"}
_LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    **{sign: f"\\{sign}" for sign in "{}&%$#_"},
}
_FIELDS = ("journal", "booktitle", "publisher", "edition", "volume", "year", "pages", "chapter", "note")

SPECIAL = {"several channels or features": True, "one channel": False}
"""Conditions on how many numbers a voxel is known by, and whether they hold where there are several."""


@dataclass(frozen=True, slots=True)
class Reference:
    """One work, as a docstring names it.

    Parameters
    ----------
    text : str
        The whole of it, without the condition.
    kind : {"article", "inproceedings", "incollection", "book"}
        What it is, in the words of BibTeX.
    authors : tuple of str
        Such as ``"P. de la Torre"``.
    more_authors : bool
        True if there are others ("et al.").
    title : str
        Its title.
    place : mapping of str to str
        Journal or book, volume, year, pages, as far as they are known.
    doi : str
        Empty if it has none.
    condition : str
        For which settings it stands; empty for all.
    """

    text: str
    kind: str
    authors: tuple[str, ...]
    more_authors: bool
    title: str
    place: Mapping[str, str]
    doi: str = ""
    condition: str = ""

    @property
    def key(self) -> str:
        """What BibTeX calls it: the first author, the year and the first word of the title."""
        words = (re.sub(r"[^a-z0-9]", "", word.lower()) for word in re.split(r"[\s:-]", self.title))
        first = next(word for word in words if len(word) > 1 and word not in _SMALL)
        return re.sub(r"[^a-z]", "", _surname(self.authors[0]).lower()) + self.place["year"] + first

    @property
    def short(self) -> str:
        """How a paper names it: ``"Li and Tam, 1998"``, and of a book which chapter."""
        names = [_surname(author) for author in self.authors]
        if self.more_authors or len(names) > 2:
            names = [f"{names[0]} et al."]
        part = self.place.get("part")
        return f"{' and '.join(names)}, {self.place['year']}" + (f", {part}" if part else "")

    @property
    def plain(self) -> str:
        """The whole of it for a list of references, where a book stands once, whatever the chapters."""
        return self.text.replace(f", {self.place['part']}", "") if self.kind == "book" and self._part else self.text

    @property
    def _part(self) -> str:
        return self.place.get("part", "")

    @property
    def settings(self) -> tuple[str, ...]:
        """The names of the settings that its condition asks for."""
        return tuple(re.findall(r"(\w+)(?:=| > | has )", self.condition))

    def stands_for(self, settings: Mapping[str, Any] | None, *, several: bool = False) -> bool:
        """Tell whether the work stands behind a run with these settings; always where they are not known.

        Parameters
        ----------
        settings : mapping or None
            All settings by name.
        several : bool
            Whether voxels were compared by several channels or features.

        Returns
        -------
        bool
            True if it has no condition, or one that holds.
        """
        if settings is None or not self.condition:
            return True
        if self.condition in SPECIAL:
            return SPECIAL[self.condition] is several
        return any(holds(part, settings) for part in self.condition.split(" or "))

    def bibtex(self) -> str:
        """Return the BibTeX entry, with the signs that LaTeX reads as commands escaped."""
        names = [f"{_surname(author)}, {author.removesuffix(_surname(author)).strip()}" for author in self.authors]
        names += ["others"] * self.more_authors
        fields = {"author": " and ".join(map(escaped, names)), "title": _with_capitals(self.title)}
        known = {**self.place, **_split_part(self)}
        fields |= {name: escaped(known[name]) for name in _FIELDS if known.get(name)}
        if "pages" in fields:
            fields["pages"] = fields["pages"].replace("-", "--")
        if self.doi:
            fields["doi"] = self.doi  # packages read this field as it stands; escaped, the link would be wrong
        return entry(self.kind, self.key, fields)


def entry(kind: str, key: str, fields: Mapping[str, str]) -> str:
    """Return a BibTeX entry of fields that are escaped already."""
    return "\n".join([f"@{kind}{{{key},", *(f"  {name} = {{{value}}}," for name, value in fields.items()), "}"])


def escaped(text: str) -> str:
    """Return text with the signs that LaTeX reads as commands escaped."""
    return "".join(_LATEX.get(sign, sign) for sign in text)


def holds(condition: str, settings: Mapping[str, Any]) -> bool:
    """Tell whether one condition holds: ``name="word"``, ``name > number`` or ``name has "word"``.

    Parameters
    ----------
    condition : str
        The condition.
    settings : mapping
        The settings by name; those that are missing are off.

    Returns
    -------
    bool
        Whether it holds.

    Raises
    ------
    ValueError
        If it is no such condition.
    """
    found = re.fullmatch(r'(\w+)(?:="(\w+)"| has "(\w+)"| > ([\d.]+))', condition)
    if found is None:
        raise ValueError(
            f'a condition must be name="word", name > number, name has "word", or one of {list(SPECIAL)}, '
            f"got {condition!r}"
        )
    name, equal, member, limit = found.groups()
    value = settings.get(name)
    if limit:
        return isinstance(value, int | float) and value > float(limit)
    return value == equal if equal else member in (value or ())


def references_of(docstring: str | None) -> tuple[Reference, ...]:
    """Return the works that a numpydoc docstring names, in its order.

    Parameters
    ----------
    docstring : str or None
        The docstring.

    Returns
    -------
    tuple of Reference
        Empty if there is no section ``References``.

    Raises
    ------
    ValueError
        If one of them is not in the house format.
    """
    found = _SECTION.search(inspect.cleandoc(docstring or ""))
    items = _ITEM.split(found[1])[1:] if found else []
    return tuple(_parsed(" ".join(item.partition("\n\n")[0].split())) for item in items)


def _parsed(text: str) -> Reference:
    whole = _WHOLE.fullmatch(text)
    for kind, pattern in _PLACES.items() if whole else ():
        if (place := pattern.fullmatch(whole["where"])) is not None:  # type: ignore[index]
            return _reference(text, whole, kind, place)  # type: ignore[arg-type]
    raise ValueError(
        f'a reference must be AUTHORS, "TITLE", JOURNAL VOLUME (YEAR) PAGES. DOI:..., or "TITLE", in PROCEEDINGS '
        f'(YEAR) PAGES, or "TITLE", PUBLISHER YEAR, got {text!r}'
    )


def _reference(text: str, whole: re.Match[str], kind: str, place: re.Match[str]) -> Reference:
    people = whole["authors"].removesuffix(" et al.")
    return Reference(
        text=text[: text.index(" (if ")] if whole["condition"] else text,
        kind=kind,
        authors=tuple(re.split(r", and |, | and ", people)),
        more_authors=people != whole["authors"],
        title=whole["title"],
        place={name: value for name, value in place.groupdict().items() if value},
        doi=whole["doi"] or "",
        condition=whole["condition"] or "",
    )


def _surname(author: str) -> str:
    return _INITIALS.sub("", author, count=1).strip()


def _with_capitals(title: str) -> str:
    """Return a title whose names and acronyms keep their case in styles that change that of the rest."""
    first, *rest = title.split(" ")
    words = [f"{{{escaped(w)}}}" if re.search(r"[A-Z]", w) else escaped(w) for w in rest]
    return " ".join([f"{{{escaped(first)}}}" if re.search(r"^[a-z]|.[A-Z]", first) else escaped(first), *words])


def _split_part(reference: Reference) -> dict[str, str]:
    """Return which part of a collection it is, as BibTeX has it; of a book none, for other papers cite other parts."""
    word, _, number = reference.place.get("part", "").partition(" ")
    if not number or reference.kind == "book":
        return {}
    return {"chapter": number} if word == "chapter" else {"note": f"{word.capitalize()} {number}"}
