"""What the labels of an error map mean, and the colours that pictures and layers show them in."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["ERROR_KINDS", "ErrorKind"]


@dataclass(frozen=True, slots=True)
class ErrorKind:
    """One label of an error map.

    Parameters
    ----------
    label : int
        Its number in what `error_map` returns.
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
