"""The page of the command line, made from the help of the commands; what many of them take stands there once."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache

from napari_cutout.cli import make_app

SHARED_BY = 10
"""Options that at least so many commands describe in the same words stand on the page once."""

HEAD = """# Command line

`napari-cutout COMMAND --help` says the same in a terminal. Options that many commands take are described
[once](#options-that-many-commands-take).

A command ends with 0 if all went well, 1 if some images of a folder failed, 2 on bad input, with one sentence that says
what to do, 75 if a run from a store to a store was asked to stop and can be taken up again with `--resume`, and 130 if
it was cancelled. `NAPARI_CUTOUT_TRACEBACK=1` in the environment adds the traceback.
"""


@dataclass
class Command:
    """What the help of one command says.

    Parameters
    ----------
    name : str
        What is typed after the name of the program.
    usage : str
        The line that shows how it is called; empty for a name that only gathers others.
    text : str
        What it does.
    groups : dict
        The lines about its options, by the title that they stand under.
    """

    name: str
    usage: str = ""
    text: str = ""
    groups: dict[str, list[str]] = field(default_factory=dict)


@cache
def commands() -> list[Command]:
    """Return every command, read from the Markdown that cyclopts makes."""
    text = make_app().generate_docs(output_format="markdown").replace(" *[default: False]*", "")
    return [parsed(part) for part in re.split(r"^#{2,3} napari-cutout ", text, flags=re.MULTILINE)[1:]]


def parsed(part: str) -> Command:
    """Return what one section of cyclopts' Markdown says."""
    name, _, rest = part.partition("\n")
    usage = re.search(r"^```console\n(.*?)\n```$", rest, re.DOTALL | re.MULTILINE)
    text, *_ = re.split(r"^\*\*", rest[usage.end() if usage else 0 :], maxsplit=1, flags=re.MULTILINE)
    groups = re.findall(r"^\*\*(.+?)\*\*:\n\n((?:\* .*\n?)+)", rest, flags=re.MULTILINE)
    lines = {title: block.strip().splitlines() for title, block in groups if title != "Commands"}
    return Command(name, usage[1] if usage else "", text.strip(), lines)


def command_page() -> str:
    """Return the text of the page."""
    found = commands()
    common = shared(found)
    lines = [HEAD, *(line for command in found for line in section(command, common))]
    lines += ["## Options that many commands take", ""]
    for title, options in common.items():
        lines += [f"### {title}", "", *options, ""]
    return "\n".join(lines)


def shared(found: list[Command]) -> dict[str, list[str]]:
    """Return the lines that stand on the page once, by the titles that they stand under."""
    times = Counter((title, line) for command in found for title, lines in command.groups.items() for line in lines)
    common: dict[str, list[str]] = {}
    for (title, line), n in times.items():
        if n >= SHARED_BY:
            common.setdefault(title, []).append(line)
    return common


def section(command: Command, common: dict[str, list[str]]) -> Iterator[str]:
    """Yield the lines about one command."""
    yield from (f"## {command.name}", "")
    if command.usage:
        yield from ("```sh", command.usage, "```", "")
    yield from (command.text, "")
    also = []
    for title, lines in command.groups.items():
        if own := [line for line in lines if line not in common.get(title, ())]:
            yield from (f"**{title}**", "", *own, "")
        if taken := [line for line in lines if line not in own]:
            also.append(mention(title, taken, complete=len(taken) == len(common[title])))
    if also:
        yield from ("Also: " + "; ".join(also) + ".", "")


def mention(title: str, lines: list[str], *, complete: bool) -> str:
    """Return a link to a group of shared options, and which of them a command takes if it does not take all."""
    link = f"[{title}](#{title.lower().replace(',', '').replace(' ', '-')})"
    names = ", ".join(f"`{option}`" for line in lines for option in re.findall(r"^\* `([^ `,]+)", line))
    return link if complete else f"{link} ({names})"
