"""Plans and clean-up on dask arrays: the same labels as in memory, computed when asked for.

Statistics of the whole, and the numbers of objects that cross blocks, are delayed values that every block of
the result waits for; nothing is computed while the graph is made.
"""

from __future__ import annotations

from ._components import lazy_components, lazy_fill_holes
from ._distance import lazy_squared_distance
from ._plans import compute, decided, lazy_map_many, run_in_tiles, run_lazy, watched
from ._pyramid import fits, memory
from ._stitch import exchanged

__all__ = [
    "compute",
    "decided",
    "exchanged",
    "fits",
    "lazy_components",
    "lazy_fill_holes",
    "lazy_map_many",
    "lazy_squared_distance",
    "memory",
    "run_in_tiles",
    "run_lazy",
    "watched",
]
