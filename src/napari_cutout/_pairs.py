"""Which file belongs to which: images and truths, labels and truths, paired by their names."""

from __future__ import annotations

import glob
import os
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from . import io
from ._reading import Source, is_path
from ._volume import Volume

__all__ = ["FilePair", "Pairing", "folders_of", "folders_named", "is_many", "keyed", "pair", "paired", "stem_of"]


@dataclass(frozen=True, slots=True)
class FilePair:
    """Labels and the truth that they are scored against.

    Parameters
    ----------
    name : str
        What the pair is called: the name of the labels, without folder and ending.
    predicted, truth : str
        The files, as `napari_cutout.read` takes them; empty where there is not one.
    complete : str
        A file that says where every object is annotated; empty where there is none.
    error : str
        Why the files are no pair; empty where they are.
    folder : str
        The folder that the labels lie in, which often is their condition, as tables of objects name it.
    """

    name: str
    predicted: str = ""
    truth: str = ""
    complete: str = ""
    error: str = ""
    folder: str = ""


@dataclass(frozen=True, slots=True)
class Pairing:
    """How two folders belong together.

    Parameters
    ----------
    pairs : tuple of FilePair
        In the order of the labels.
    unpaired_predicted, unpaired_truth : tuple of str
        Files without a partner.
    """

    pairs: tuple[FilePair, ...]
    unpaired_predicted: tuple[str, ...] = ()
    unpaired_truth: tuple[str, ...] = ()


def is_many(source: Source) -> bool:
    """Tell whether a source is a folder or a pattern rather than one image."""
    if not isinstance(source, str | os.PathLike):
        return False
    text = os.fspath(source)
    found = io.inputs(text)
    return found != [text] and (Path(text).is_dir() or glob.has_magic(text))


def stem_of(source: Source) -> str:
    """Return what a source is called, without folder and ending."""
    if isinstance(source, Volume):
        return source.name
    if not is_path(source):
        return ""
    path, key = io.split_key(os.fspath(source))
    return key or path.stem.removesuffix(".ome")


def pair(images: Sequence[str], others: Sequence[str], what: str) -> dict[str, str | None]:
    """Pair files by their names.

    Parameters
    ----------
    images, others : sequence of str
        What `napari_cutout.io.inputs` returned.
    what : str
        What the others are, for messages.

    Returns
    -------
    dict
        For every image its partner, or None. Names are compared without folder and ending; where none is
        equal, without the words that all images, or all others, have in common: ``img_000`` and ``gt_000``. Where two
        images in different folders have one name, the folder belongs to the name.

    Raises
    ------
    ValueError
        If names are ambiguous, or no image has a partner.
    """
    ambiguous = f"have one name, so that no {what} can be told; take one out"
    for name_images, name_others in _ways(images, others):
        ours = keyed(images, name_images, ambiguous)
        theirs = keyed(others, name_others, ambiguous)
        if common := (ours.keys() & theirs.keys()) - {""}:
            return {image: theirs[key] if key in common else None for key, image in ours.items()}
    raise ValueError(_no_pair(images, others, what, "an image", "images"))


def paired(predicted: Sequence[str], truth: Sequence[str]) -> Pairing:
    """Pair labels and truths by their names, as `pair` does; what is not clear is said of the pair, and not raised.

    Parameters
    ----------
    predicted, truth : sequence of str
        What `napari_cutout.io.inputs` returned.

    Returns
    -------
    Pairing
        Where several files of one side have the name of a pair, the pair has that error.

    Raises
    ------
    ValueError
        If no labels are named like a truth.
    """
    for name_predicted, name_truth in _ways(predicted, truth):
        ours, theirs = _grouped(predicted, name_predicted), _grouped(truth, name_truth)
        if common := (ours.keys() & theirs.keys()) - {""}:
            break
    else:
        raise ValueError(_no_pair(predicted, truth, "truth", "labels", "labels"))
    folders = dict(zip(predicted, folders_named(predicted), strict=True))
    return Pairing(
        tuple(_pair_of(ours[key], theirs[key], folders[ours[key][0]]) for key in ours if key in common),
        tuple(file for key, files in ours.items() if key not in common for file in files),
        tuple(file for key, files in theirs.items() if key not in common for file in files),
    )


def _ways(
    images: Sequence[str], others: Sequence[str]
) -> tuple[tuple[Callable[[str], str], Callable[[str], str]], ...]:
    """Return how files of two sides may be named alike, the first that fits to be taken."""
    by_name = (stem_of, stem_of), (_distinct(images), _distinct(others))
    by_place = tuple((_in_folder(images, ours), _in_folder(others, theirs)) for ours, theirs in by_name)
    n_names, n_places = (len(set(map(name, images))) for name in (stem_of, by_place[0][0]))
    return by_place if n_names < n_places == len(images) else by_name


def folders_of(files: Sequence[str]) -> list[str]:
    """Return the folder that each file lies in, from where they part.

    Parameters
    ----------
    files : sequence of str
        What `napari_cutout.io.inputs` returned.

    Returns
    -------
    list of str
        Such as ``control`` and ``treated/day 1``; a dot if all files lie in one.
    """
    folders = [io.split_key(file)[0].absolute().parent for file in files]
    top = Path(os.path.commonpath(folders)) if folders else Path()
    return [folder.relative_to(top).as_posix() for folder in folders]


def folders_named(files: Sequence[str]) -> list[str]:
    """Return what tables call the folder of each file: as `folders_of`, or the name of the one that all lie in."""
    folders = folders_of(files)
    if set(folders) == {"."}:
        return [io.split_key(file)[0].absolute().parent.name for file in files]
    return folders


def _in_folder(files: Sequence[str], name: Callable[[str], str]) -> Callable[[str], str]:
    """Return a function that puts the folder of a file before its name."""
    folders = dict(zip(files, folders_of(files), strict=True))
    return lambda file: f"{folders[file]}/{name(file)}" if name(file) else ""


def _grouped(files: Sequence[str], name: Callable[[str], str]) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = {}
    for file in files:
        groups.setdefault(name(file), []).append(file)
    return groups


def _pair_of(ours: Sequence[str], theirs: Sequence[str], folder: str) -> FilePair:
    name = stem_of(ours[0])
    if len(ours) == len(theirs) == 1:
        return FilePair(name, ours[0], theirs[0], folder=folder)
    listed = ", ".join(map(repr, (*ours, *theirs)))
    return FilePair(
        name,
        folder=folder,
        error=f"{len(ours)} files of labels and {len(theirs)} truths have this name, so that nobody can tell which "
        f"belong together: {listed}; take all but one of each out",
    )


def _no_pair(images: Sequence[str], others: Sequence[str], what: str, one: str, many: str) -> str:
    return (
        f"no {what} is named like {one}: {many} are {_some(images)}, the others are {_some(others)}; "
        "give both of a pair the same name"
    )


def keyed(files: Sequence[str], name: Callable[[str], str], problem: str) -> dict[str, str]:
    """Return files by their names.

    Parameters
    ----------
    files : sequence of str
        The files.
    name : callable
        What each is called.
    problem : str
        What is wrong where two have one name, after their names.

    Returns
    -------
    dict
        In the order of the files.

    Raises
    ------
    ValueError
        If two have one name.
    """
    keys = [name(file) for file in files]
    key, times = Counter(keys).most_common(1)[0]
    if times > 1:
        first, second = [file for file, k in zip(files, keys, strict=True) if k == key][:2]
        raise ValueError(f"{first!r} and {second!r} {problem}")
    return dict(zip(keys, files, strict=True))


def _distinct(files: Sequence[str]) -> Callable[[str], str]:
    """Return a function that leaves the words that all names have in common out of a name."""

    def words(file: str) -> list[str]:
        return [word for word in re.split(r"[\W_]+", stem_of(file)) if word]

    common = {word for word in set.intersection(*(set(words(file)) for file in files)) if word.isalpha()}
    return lambda file: " ".join(word for word in words(file) if word not in common)


def _some(files: Sequence[str]) -> str:
    names = [stem_of(file) for file in files]
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
