"""Whether labels are still what a run gave, and saying so where they are not.  No Qt here."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from .._chain import made
from .._sources import fingerprint

__all__ = ["BY_HAND", "edited", "with_edits"]

BY_HAND = "edited by hand"
"""What is said of labels that somebody has painted on since a run gave them."""


def edited(ours: Mapping[str, Any], labels: Any) -> bool:
    """Tell whether labels differ from what the run gave that is said to have made them; it reads all of them.

    Parameters
    ----------
    ours : mapping
        What this plugin stored with the layer.
    labels : integer array
        What the layer holds.

    Returns
    -------
    bool
        False where nobody knows: labels of no run, or in a store, which says so itself once it is edited.
    """
    how = made(ours)
    if how is None or not how.sha256:
        return False
    return len(how.sha256) != 64 or fingerprint(labels) != how.sha256


def with_edits(ours: Mapping[str, Any], labels: Any) -> dict[str, Any]:
    """Return what is stored with labels, which says that they were edited where they were.

    Parameters
    ----------
    ours : mapping
        What this plugin stored with the layer.
    labels : integer array
        What the layer holds.

    Returns
    -------
    dict
        With ``edits`` in the provenance, one for all of it unless others are noted there.
    """
    provenance = ours.get("provenance", {})
    if provenance.get("edits") or not edited(ours, labels):
        return dict(ours)
    whole = [[0, int(n)] for n in labels.shape]
    edit = {"box": whole, "time": datetime.now(UTC).isoformat("T", "seconds")}
    return {**ours, "provenance": {**provenance, "edits": [edit]}}
