"""Compiled loops and kernels that are kept on disk: where, how much, and how to be rid of them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Kept", "clear_loops", "kept_kernels", "kept_loops"]

_PACKAGE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Kept:
    """What is kept of compiled code.

    Parameters
    ----------
    where : str
        In words; empty if no folder can be written, and so nothing is kept.
    files : tuple of Path
        What is kept there.
    """

    where: str
    files: tuple[Path, ...]

    @property
    def n_bytes(self) -> int:
        """How large the files are together."""
        return sum(path.stat().st_size for path in self.files)


def kept_loops() -> Kept:
    """Return what Numba keeps of the loops of this package."""
    places = [_place_of(source) for source in _one_source_per_folder()]
    if None in places:
        return Kept("", ())
    known = [place for place in places if place is not None]
    files = [path for _, folder in known if folder.is_dir() for path in folder.glob("*.nb[ci]")]
    return Kept(" and ".join(sorted({words for words, _ in known})), tuple(sorted(set(files))))


def clear_loops() -> Kept:
    """Remove what Numba keeps of the loops of this package, and return which files that were."""
    kept = kept_loops()
    for path in kept.files:
        path.unlink(missing_ok=True)
    return kept


def kept_kernels() -> Kept:
    """Return what CuPy keeps of kernels, those of other programs among them."""
    folder = Path(os.environ.get("CUPY_CACHE_DIR") or Path.home() / ".cupy" / "kernel_cache")
    where = "in CUPY_CACHE_DIR" if os.environ.get("CUPY_CACHE_DIR") else "in the home folder of this user"
    return Kept(where, tuple(sorted(folder.glob("*.cubin"))) if folder.is_dir() else ())


def _one_source_per_folder() -> Iterator[Path]:
    """Yield a file of every folder of this package that holds loops: those of a folder are kept together."""
    seen: set[Path] = set()
    for path in sorted(_PACKAGE.rglob("*.py")):
        if path.parent not in seen and "_compiled import" in path.read_text(encoding="utf-8"):
            seen.add(path.parent)
            yield path


def _place_of(source: Path) -> tuple[str, Path] | None:
    """Return in words and as a folder where Numba keeps what it compiles of a file; None if nowhere."""
    from numba import config
    from numba.core.caching import CompileResultCacheImpl

    for kind in CompileResultCacheImpl._locator_classes:
        locator = kind.from_function(_place_of, str(source))
        if locator is not None:
            folder = Path(locator.get_cache_path())
            beside = folder.parent == source.parent
            words = "in NUMBA_CACHE_DIR" if config.CACHE_DIR else "in the cache of this user"
            return ("beside the program" if beside else words), folder
    return None
