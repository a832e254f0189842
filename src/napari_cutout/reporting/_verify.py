"""Reports checked: what was read is hashed, everything is run again, and what is different is said."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

from . import _machine
from ._comparison import FORMAT, VERSION

__all__ = ["Found", "Moved", "Verification", "file_differences", "row_differences", "verify"]

SAME = 1e-9
"""Scores that differ by no more than this are equal: it is rounding."""

KINDS = {"comparison": "._comparison_again", "evaluation": "._evaluation"}
"""The module of each kind of report, whose function ``run_again`` takes what `verify` passes and returns `Found`."""

UNCHECKED = ("seconds", "backend", "recipe_file")
"""Entries of a row that may differ from machine to machine."""


@dataclass(frozen=True, slots=True)
class Moved:
    """Where files are now, if they are not where they were.

    Parameters
    ----------
    image, truth, ceiling : str, optional
        Files, or folders or patterns of files with the names that they had. In an evaluation `image` are the labels.
    labels : mapping of str to str
        Labels of others, by the names of their rows.
    """

    image: str | None = None
    truth: str | None = None
    ceiling: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Found:
    """What running again gave; the module of each kind of report returns it.

    Parameters
    ----------
    rows : sequence of mapping
        As ``rows`` in the report.
    key : str
        The entry by which rows are known.
    facts : mapping
        Other entries of the report that must be the same.
    differences : tuple of str
        What is different in the files.
    notes : tuple of str
        What is different and does not matter.
    """

    rows: Sequence[Mapping[str, Any]]
    key: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    differences: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Verification:
    """What came of checking a report.

    Parameters
    ----------
    n_rows : int
        Rows that were compared.
    differences : tuple of str
        What is different; empty where the report holds.
    notes : tuple of str
        What is different and does not matter, such as versions.
    """

    n_rows: int
    differences: tuple[str, ...]
    notes: tuple[str, ...]

    def summary(self) -> str:
        """Return what was found, in lines."""
        rows = f"{self.n_rows} row{'' if self.n_rows == 1 else 's'}"
        n = len(self.differences)
        verdict = (
            f"the report holds: {rows} as they were"
            if not n
            else f"the report does not hold: {n} difference{'' if n == 1 else 's'}"
        )
        return "\n".join([*(f"note: {note}" for note in self.notes), *self.differences, verdict])

    __str__ = summary


def verify(
    report: str | os.PathLike[str],
    moved: Moved | None = None,
    *,
    device: str | None = None,
    on_progress: Callable[[str, float], None] | None = None,
) -> Verification:
    """Hash what a report was made of, run everything again, and compare row by row.

    Parameters
    ----------
    report : str or path
        A ``report.json``. Paths in it lead from its folder, so both can be moved together.
    moved : Moved, optional
        Where files are now.
    device : {"auto", "cpu", "gpu"}, optional
        Where to run; by default as it was.
    on_progress : callable, optional
        Called with what runs and the fraction of all that is done.

    Returns
    -------
    Verification
        What is different.

    Raises
    ------
    OSError
        If a file cannot be read.
    ValueError
        If it is no such report, or files are not where they were and `moved` does not say where they are.
    """
    path = Path(report)
    content = _content(path)
    again = _kind(content.get("kind"))
    found = again(content, path.resolve().parent, moved or Moved(), device=device, on_progress=on_progress)
    differences = [
        *found.differences,
        *_fact_differences(content, found.facts),
        *row_differences(content["rows"], _as_read(found.rows), found.key),
    ]
    return Verification(len(found.rows), tuple(differences), (*found.notes, *_other_versions(content)))


def _content(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{str(path)!r} is no report, because it is no JSON ({error}); pass a report.json") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise ValueError(f"{str(path)!r} is no report: it has no entry 'format': {FORMAT!r}; pass a report.json")
    version = content.get("version")
    if not isinstance(version, int) or version > VERSION:
        raise ValueError(
            f"the report has version {version!r} and this program reads up to {VERSION}; update napari-cutout"
        )
    return content


def _kind(kind: Any) -> Callable[..., Found]:
    """Return what runs a kind of report again."""
    if kind not in KINDS:
        raise ValueError(f"the report is of the kind {kind!r}, which this program does not know; update napari-cutout")
    again: Callable[..., Found] = import_module(KINDS[kind], __package__).run_again
    return again


def _as_read(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return rows as they come back from a file, in which a tuple is a list."""
    found: list[dict[str, Any]] = json.loads(json.dumps(list(rows)))
    return found


# Differences -------------------------------------------------------------------------------------------


def row_differences(old: Sequence[Mapping[str, Any]], new: Sequence[Mapping[str, Any]], key: str) -> Iterator[str]:
    """Yield what is different between the rows of a report and those of another run.

    Parameters
    ----------
    old, new : sequence of mapping
        Rows.
    key : str
        The entry by which they are known.

    Yields
    ------
    str
        One line per row. Numbers are the same up to rounding; times and devices are left out.
    """
    before, after = ({row[key]: row for row in rows} for rows in (old, new))
    for name in (*before, *(name for name in after if name not in before)):
        if name not in after or name not in before:
            yield f"{name}: the row is {'gone' if name in before else 'new'}"
            continue
        was, now = before[name], after[name]
        entries = [entry for entry in dict.fromkeys((*was, *now)) if entry not in UNCHECKED]
        said = [f"{e} {_said(was.get(e), now.get(e))}" for e in entries if not _alike(was.get(e), now.get(e))]
        if said:
            yield f"{name}: {'; '.join(said)}"


def _fact_differences(content: Mapping[str, Any], facts: Mapping[str, Any]) -> Iterator[str]:
    return (f"{name} {_said(content.get(name), now)}" for name, now in facts.items() if content.get(name) != now)


def _alike(was: Any, now: Any) -> bool:
    if isinstance(was, float) or isinstance(now, float):
        numbers = isinstance(was, int | float) and isinstance(now, int | float)
        return numbers and (was == now or math.isclose(was, now, rel_tol=SAME, abs_tol=SAME))
    if isinstance(was, Mapping) and isinstance(now, Mapping):
        return was.keys() == now.keys() and all(_alike(was[name], now[name]) for name in was)
    if isinstance(was, list) and isinstance(now, list):
        return len(was) == len(now) and all(map(_alike, was, now))
    return bool(was == now)


def _said(was: Any, now: Any) -> str:
    if isinstance(was, dict | list) or isinstance(now, dict | list):
        return "is not what it was"
    return f"is {_word(now)}, was {_word(was)}"


def _word(value: Any) -> str:
    return "not defined" if value is None else f"{value:.9g}" if isinstance(value, float) else repr(value)


def file_differences(
    role: str, old: Sequence[Mapping[str, Any]], new: Sequence[Mapping[str, Any]]
) -> Iterator[tuple[str, bool]]:
    """Yield what is different between the files of a report and those that were read now.

    Parameters
    ----------
    role : str
        What they are, such as ``"image"``.
    old, new : sequence of mapping
        What is known of each: ``path`` and ``sha256`` of files, ``voxels_sha256`` of what they hold.

    Yields
    ------
    text : str
        One sentence per file.
    matters : bool
        False where the voxels are the same.
    """
    if len(old) != len(new):
        yield f"{role}: there are {len(new)} now, and were {len(old)}", True
        return
    for number, (was, now) in enumerate(zip(old, new, strict=True), start=1):
        name = f"{role} {was['path']!r}" if "path" in was else f"{role} {number}"
        if was.get("voxels_sha256") != now.get("voxels_sha256"):
            yield f"{name}: it holds other voxels than those that were scored", True
        elif "sha256" in was and was["sha256"] != now.get("sha256"):
            yield f"{name}: the file is another one (SHA-256), and holds the same voxels", False


def _other_versions(content: Mapping[str, Any]) -> Iterator[str]:
    now = _machine.versions()
    for name, was in content.get("versions", {}).items():
        if now.get(name) != was:
            yield f"{name} is {now.get(name, 'missing')}, was {was}"
