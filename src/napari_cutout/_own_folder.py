"""A folder that a command fills again and again, and in which only what it wrote itself is ever replaced."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ._writing import write_text

__all__ = ["OwnFolder"]


@dataclass(frozen=True, slots=True)
class OwnFolder:
    """A folder, and the file in it that lists what was written.

    Parameters
    ----------
    path : Path
        The folder.
    marker : str
        The name of the file that lists the others, one per line. A folder that holds it was made by `maker`.
    maker : str
        Who writes, for messages, such as ``"the demo"``.
    """

    path: Path
    marker: str
    maker: str

    @property
    def is_own(self) -> bool:
        """True if `maker` has written into it before."""
        return (self.path / self.marker).is_file()

    def check(self, overwrite: bool) -> None:
        """Refuse a file, and a folder with anything in it that `maker` did not make.

        Parameters
        ----------
        overwrite : bool
            Take such a folder, to which files are added then.

        Raises
        ------
        FileExistsError
            If it is refused.
        """
        if not self.path.exists():
            return
        if not self.path.is_dir():
            raise FileExistsError(
                f"{str(self.path)!r} is a file, and {self.maker} writes a folder; choose another name"
            )
        if any(self.path.iterdir()) and not self.is_own and not overwrite:
            raise FileExistsError(
                f"the folder {str(self.path)!r} holds something that {self.maker} did not make; choose another name, "
                f"or allow to overwrite it, which adds {self.maker}'s files to yours"
            )

    def check_free(self, names: Sequence[str]) -> None:
        """Refuse to write where something lies that `maker` did not write.

        Parameters
        ----------
        names : sequence of str
            Files to write, with ``/`` between folders.

        Raises
        ------
        FileExistsError
            If one of them, or a folder that it needs, is in the way.
        """
        own = set(self.listed())
        for name in names:
            for path in (Path(name), *Path(name).parents[:-1]):
                there = self.path / path
                is_way = path != Path(name) and there.is_dir() and not there.is_symlink()
                if os.path.lexists(there) and not is_way and path.as_posix() not in own:
                    raise FileExistsError(
                        f"{str(there)!r} is in the way, and {self.maker} did not write it; move it, or choose another "
                        "folder"
                    )

    def listed(self) -> list[str]:
        """Return the files that the marker lists; a line that leads outside is no such file."""
        marker = self.path / self.marker
        lines = marker.read_text(encoding="utf-8").splitlines() if marker.is_file() else []
        root = self.path.resolve()
        return [line for line in lines if line and (self.path / line).parent.resolve().is_relative_to(root)]

    def take(self, work: Path) -> None:
        """Move what was made into place; of what was there before only files that the marker lists go.

        Parameters
        ----------
        work : Path
            A folder with the new files, on the same disk.

        Raises
        ------
        FileExistsError
            If something is in the way that `maker` did not write; nothing is changed then.
        """
        made = sorted(path.relative_to(work).as_posix() for path in work.rglob("*") if path.is_file())
        self.check_free(made)
        before = self.listed()
        self.path.mkdir(exist_ok=True)
        # The marker names old and new files while they are moved, so that nothing is orphaned if that is cut short.
        write_text(self.path / self.marker, "\n".join([*before, *made]) + "\n", overwrite=True)
        for name in before:
            self._remove(self.path / name)
        for name in made:
            (self.path / name).parent.mkdir(parents=True, exist_ok=True)
            (work / name).rename(self.path / name)
        write_text(self.path / self.marker, "\n".join(made) + "\n", overwrite=True)

    def _remove(self, path: Path) -> None:
        """Remove a file, and the folders above it that are empty then."""
        if path.is_symlink() or path.is_file():
            path.unlink()
        for folder in path.parents:
            if folder == self.path or not folder.is_dir() or any(folder.iterdir()):
                return
            folder.rmdir()
