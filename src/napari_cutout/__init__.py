"""Cut objects out of microscopy images and large volumes: the same labels everywhere.

Public functions are flat and load their modules at first use, so that importing the package costs next to
nothing: ``import napari_cutout as nc; nc.threshold(image, method="otsu")``.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ._method import Range, method
    from ._monitor import Cancelled, watch
    from .catalog import methods
    from .evaluation.overlap import Evaluation, error_map, evaluate
    from .methods._grey_levels import Histogram
    from .methods.histogram import back_projection, histogram, histogram_segmentation
    from .methods.local_threshold import local_mean, niblack, sauvola
    from .methods.threshold import hysteresis, multi_otsu, threshold, threshold_at
    from .processing.filters import gaussian, grey, median, subtract_background
    from .processing.labels import clear_border, components, fill_holes, remove_small
    from .processing.segment import Options

__version__ = "0.1.0"

_HOMES = {
    "_method": ("Range", "method"),
    "_monitor": ("Cancelled", "watch"),
    "catalog": ("methods",),
    "evaluation.overlap": ("Evaluation", "error_map", "evaluate"),
    "methods._grey_levels": ("Histogram",),
    "methods.histogram": ("back_projection", "histogram", "histogram_segmentation"),
    "methods.local_threshold": ("local_mean", "niblack", "sauvola"),
    "methods.threshold": ("hysteresis", "multi_otsu", "threshold", "threshold_at"),
    "processing.filters": ("gaussian", "grey", "median", "subtract_background"),
    "processing.labels": ("clear_border", "components", "fill_holes", "remove_small"),
    "processing.segment": ("Options",),
}
"""Where each public name lives; a test holds it against the imports above and each module's ``__all__``."""

_MODULE_OF = {name: module for module, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{_MODULE_OF[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULE_OF})


__all__ = sorted(("__version__", *_MODULE_OF))  # noqa: PLE0605
