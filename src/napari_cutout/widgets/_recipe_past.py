"""What a recipe was before it was changed: recipes are frozen, so that they need only be kept.  No Qt."""

from __future__ import annotations

from dataclasses import dataclass, field

from .._recipe_edits import Draft
from ._recipe_job import Loaded

__all__ = ["Past"]

Entry = tuple[Draft, Loaded]
"""A recipe as it is edited, and what it was loaded from."""


@dataclass(slots=True)
class Past:
    """A row of recipes, of which one is shown."""

    _entries: list[Entry] = field(default_factory=list)
    _at: int = -1
    _key: str = ""

    @property
    def now(self) -> Entry | None:
        """What is shown; None before anything was loaded."""
        return self._entries[self._at] if self._entries else None

    @property
    def can_undo(self) -> bool:
        """Whether there is something before."""
        return self._at > 0

    @property
    def can_redo(self) -> bool:
        """Whether something was undone."""
        return self._at < len(self._entries) - 1

    def begin(self, draft: Draft, loaded: Loaded) -> None:
        """Show a recipe that was loaded, before which there is nothing to go back to."""
        self._entries, self._at, self._key = [(draft, loaded)], 0, ""

    def push(self, draft: Draft, loaded: Loaded, key: str = "") -> None:
        """Show another recipe; what was undone is forgotten.

        Parameters
        ----------
        draft : Draft
            The recipe.
        loaded : Loaded
            What it was loaded from.
        key : str
            By what a change is known: one after another of the same is undone at once, as while a slider moves.
        """
        together = bool(key) and key == self._key and not self.can_redo
        self._entries = [*self._entries[: self._at + (not together)], (draft, loaded)]
        self._at, self._key = len(self._entries) - 1, key

    def undo(self) -> None:
        """Show what was before, if there is something."""
        self._at, self._key = self._at - self.can_undo, ""

    def redo(self) -> None:
        """Show what was undone, if there is something."""
        self._at, self._key = self._at + self.can_redo, ""
