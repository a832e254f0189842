"""Plans and clean-up on dask arrays: the same labels as in memory, computed when asked for.

Statistics of the whole, and the numbers of objects that cross blocks, are delayed values that every block of
the result waits for; nothing is computed while the graph is made.
"""

from __future__ import annotations

from ._cluster import Cluster
from ._components import lazy_components, lazy_fill_holes
from ._distance import lazy_squared_distance
from ._labels import Target, Written, n_labels_of, write_labels
from ._linked import lazy_linked
from ._made import Made, Source, Stored, keep, known, lazy, source_of
from ._plans import compute, decided, lazy_map, lazy_map_many, run_in_tiles, run_lazy, watched
from ._pyramid import fits, memory
from ._seams import lazy_stitch
from ._sources import lazy_channels, lazy_keep, lazy_line, lazy_rim
from ._stitch import exchanged
from ._sweeps import LARGE, Chunks, Sweeper, Threads, TooLarge, both, current, regions_of, sweeping
from ._tiled import Tiled, settled
from ._workers import WorkerFacts, connected, workers_memory

__all__ = [
    "Chunks",
    "Cluster",
    "LARGE",
    "Made",
    "Source",
    "Stored",
    "Sweeper",
    "Target",
    "Threads",
    "WorkerFacts",
    "connected",
    "workers_memory",
    "TooLarge",
    "Written",
    "both",
    "compute",
    "current",
    "decided",
    "exchanged",
    "fits",
    "keep",
    "lazy",
    "lazy_channels",
    "lazy_components",
    "lazy_fill_holes",
    "lazy_keep",
    "lazy_line",
    "lazy_linked",
    "lazy_map",
    "lazy_map_many",
    "lazy_rim",
    "lazy_squared_distance",
    "lazy_stitch",
    "memory",
    "n_labels_of",
    "regions_of",
    "run_in_tiles",
    "run_lazy",
    "source_of",
    "sweeping",
    "Tiled",
    "known",
    "settled",
    "watched",
    "write_labels",
]
