"""Who takes part by itself: what cuts, alone or after Otsu's threshold, and regions that strokes choose from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .. import catalog
from .._method import Method
from ..recipe import Step

__all__ = ["CLASS_STROKES", "MIDDLES", "Cut", "cuts", "cuts_from_strokes"]

CLASS_STROKES, MIDDLES = "markers", "middles"
"""What recipes call the strokes: those of classes, background among them, and those with a number for every object."""


@dataclass(frozen=True, slots=True)
class Cut:
    """A method with the settings that it takes part with.

    Parameters
    ----------
    method : str
        Its name.
    title : str
        What the table calls it.
    settings : mapping
        Its own settings that differ from the defaults.
    note : str
        What one should know about this run.
    strokes : str
        What its recipe calls the strokes that it reads; empty if it reads none.
    first : Cut, optional
        What runs before it: its labels are split, are where it may go, or are the regions that it chooses from.
    """

    method: str
    title: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    note: str = ""
    strokes: str = ""
    first: Cut | None = None

    @property
    def of(self) -> str:
        """The method that it shows: that of the regions where a second one only says which of them are looked for."""
        return self.first.method if self.first is not None and self._reads == "regions" else self.method

    @property
    def _reads(self) -> str:
        """What it calls the labels of the method before it."""
        entry = catalog.find(self.method)
        if entry.needs == "labels":
            return entry.source.name
        return "regions" if any(p.name == "regions" for p in entry.arrays) else "mask"

    @property
    def local(self) -> bool:
        """True if it compares voxels with their neighbourhood."""
        return any(p.name == "window" for p in catalog.find(self.method).settings)

    def steps(self, clean_up: Mapping[str, Any]) -> list[Step]:
        """Return the steps of its recipe, each with those of the settings around a cut that it has."""
        entry = catalog.find(self.method)
        known = {p.name for p in entry.settings}
        settings = {**self.settings, **{name: value for name, value in clean_up.items() if name in known}}
        inputs = {"markers": self.strokes} if self.strokes else {}
        if self.first is None:
            return [Step(self.method, settings, inputs)]
        before = self.first.steps(clean_up)
        return [*before, Step(self.method, settings, {**inputs, self._reads: f"step_{len(before)}"})]


SPLITS = ("split_touching",)
"""Methods of labels that find other objects in them; the others number, draw or mark what is there."""


COUNTS = ("n_clusters", "n_components")
"""Settings that say into how many classes voxels are sorted."""

WAYS: Mapping[str, Mapping[str, Any]] = {
    "n_clusters": {"features": ("gaussian", "hessian")},
    "n_components": {"smoothness": 4.0},
}
"""What such a method is run with as well: k-means beyond the grey level, a mixture with a say for neighbours."""


def cuts(otsu: float | None, objects: str, *, numbered: bool = True, n_classes: int = 2) -> Iterator[Cut]:
    """Yield every method of the catalog that cuts, those with several rules once for each.

    Methods that flood cannot tell objects from background: they run inside what Otsu's threshold cut, and so do those
    that split objects. Those that divide all of the image are left to `cuts_from_strokes`.

    Parameters
    ----------
    otsu : float or None
        Otsu's threshold of the image, for the method that needs a grey level; None if there is none.
    objects : {"bright", "dark"}
        What is looked for.
    numbered : bool
        True if objects of one kind are looked for, which get a number each; False if classes are.
    n_classes : int
        How many classes there are, background among them, for methods that sort voxels into a given number.
    """
    regions = {entry.name for entry in catalog.methods().values() if _numbers_regions(entry)}
    for entry in catalog.methods().values():
        if entry.name in regions or entry.name in SPLITS:
            if numbered:
                yield _after_otsu(entry, objects)
        elif entry.needs not in ("labels", "model") and not entry.name.startswith("markers_") and not _divides(entry):
            yield from _rules(entry, otsu, objects, n_classes)


def cuts_from_strokes() -> Iterator[Cut]:
    """Yield every method that reads strokes of classes, and those whose regions such a method can choose from."""
    for entry in catalog.methods().values():
        if entry.needs == "strokes":
            relief = next((p for p in entry.settings if p.name == "surface"), None)
            on_edges = {"surface": "gradient"} if relief is not None and "gradient" in relief.choices else {}
            yield Cut(entry.name, entry.name, on_edges, strokes=CLASS_STROKES)
            if any(p.name == "regions" for p in entry.arrays):
                yield from (_on_regions(entry, other) for other in catalog.methods().values() if _divides(other))


def _on_regions(entry: Method, regions: Method) -> Cut:
    """Return a method that says by strokes which of the regions of another are looked for."""
    return Cut(
        entry.name, f"{entry.name} on {regions.name}", strokes=CLASS_STROKES, first=Cut(regions.name, regions.name)
    )


def _divides(entry: Method) -> bool:
    """Tell whether a method divides all of the image, and neither floods it nor knows what an object is."""
    known = {p.name for p in entry.settings}
    return entry.needs == "image" and not known & {"objects", "surface"}


def _numbers_regions(entry: Method) -> bool:
    """Tell whether a method floods a surface."""
    return any(p.name == "surface" for p in entry.settings) and not entry.name.startswith("markers_")


def _rules(entry: Method, otsu: float | None, objects: str, n_classes: int) -> Iterator[Cut]:
    strokes = CLASS_STROKES if entry.needs == "strokes" else ""
    side = {"objects": objects} if objects != "bright" else {}
    given, source = _required(entry, otsu)
    note = _noted("strokes made from the truth" if strokes else "", source, "dark objects" if side else "")
    rules: Sequence[str] = next((p.choices for p in entry.settings if p.name == "method"), ())
    count = next((p.name for p in entry.settings if p.name in COUNTS), None)
    for rule in rules:
        yield Cut(entry.name, f"{entry.name} {rule}", {"method": rule, **given, **side}, note, strokes)
    if count is not None:
        yield from _clusterings(entry, {count: n_classes, **side}, WAYS[count], _noted(f"{n_classes} classes", note))
    elif not rules:
        yield Cut(entry.name, entry.name, {**given, **side}, note, strokes)


def _clusterings(entry: Method, settings: Mapping[str, Any], more: Mapping[str, Any], note: str) -> Iterator[Cut]:
    """Yield a method that sorts voxels into classes, as it is and with one setting more."""
    yield Cut(entry.name, entry.name, settings, note)
    ((name, value),) = more.items()
    words = " and ".join(value) if isinstance(value, tuple) else f"{value:g}"
    yield Cut(entry.name, f"{entry.name} {name}", {**settings, **more}, _noted(note, f"{name} {words}"))


def _after_otsu(entry: Method, objects: str) -> Cut:
    """Return a method that splits what Otsu's threshold cut: by its shape, or by the grey levels inside."""
    side = {"objects": objects} if objects != "bright" else {}
    first = Cut("threshold", "threshold otsu", {"method": "otsu", **side})
    strokes = MIDDLES if entry.needs == "strokes" else ""
    surface = {} if entry.needs == "labels" or objects == "dark" else {"surface": "inverted"}
    note = _noted("a stroke in every object of the truth" if strokes else "", "dark objects" if side else "")
    return Cut(entry.name, f"{entry.name} after otsu", surface, note, strokes, first)


def _noted(*texts: str) -> str:
    return ", ".join(text for text in texts if text)


def _required(entry: Method, otsu: float | None) -> tuple[dict[str, Any], str]:
    """Return settings without a default of which a value is known, and where it comes from."""
    asked = [p for p in entry.settings if p.required and p.grey_level]
    if otsu is None or not asked:
        return {}, ""
    return {p.name: (otsu,) if p.type is tuple else otsu for p in asked}, f"at Otsu's {otsu:g}"
