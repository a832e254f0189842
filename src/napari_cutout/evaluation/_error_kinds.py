"""What the labels of maps of errors mean, and the colours that pictures and layers show them in."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["ERROR_KINDS", "OBJECT_KINDS", "ErrorKind"]


@dataclass(frozen=True, slots=True)
class ErrorKind:
    """One label of a map of errors.

    Parameters
    ----------
    label : int
        Its number in what `error_map` or `object_errors` returns.
    word : str
        What it means.
    colour : str
        As ``"#rrggbb"``.
    """

    label: int
    word: str
    colour: str

    @property
    def rgb(self) -> tuple[int, int, int]:
        """The colour as red, green and blue, 0 to 255."""
        return int(self.colour[1:3], 16), int(self.colour[3:5], 16), int(self.colour[5:7], 16)


ERROR_KINDS = (
    ErrorKind(1, "found (TP)", "#009e73"),
    ErrorKind(2, "in excess (FP)", "#d55e00"),
    ErrorKind(3, "missed (FN)", "#56b4e9"),
    ErrorKind(4, "wrong class", "#f0e442"),
)
"""All of them, in colours of Okabe and Ito, which people of every colour vision tell apart, on grey and on white."""

OBJECT_KINDS = {
    "matched": ErrorKind(1, "found", "#009e73"),
    "split": ErrorKind(4, "split", "#f0e442"),
    "merged": ErrorKind(5, "merged", "#cc79a7"),
    "missed": ErrorKind(3, "missed", "#56b4e9"),
    "invented": ErrorKind(2, "invented (in excess)", "#d55e00"),
    "inexact": ErrorKind(6, "inexact", "#e69f00"),
    "unjudged": ErrorKind(7, "unjudged", "#999999"),
}
"""What an object can be, by its name in `ObjectEvaluation.object_table`; found, missed and in excess as above."""
