"""How long a test waits for what must come.

It guards against a test that hangs, and costs nothing where what must come does: so it is as long as a machine may need
that is ten times slower than a quiet one and compiles each loop for the first time, which takes up to 40 s.
"""

from __future__ import annotations

__all__ = ["PATIENCE"]

PATIENCE = 240
"""Seconds; less than those after which pytest prints where all threads are."""
