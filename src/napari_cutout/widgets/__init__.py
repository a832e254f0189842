"""What napari shows: one widget per row of the catalog, Try all, Recipe, Evaluate, Compare, Measure, and the samples.

The manifest names factories of this module, and they are made when napari asks for them: ``ThresholdWidget`` from
the row *Threshold* of the catalog, ``sample_coins`` from the sample ``coins``. A new row, method or sample needs
no line here. Nothing of Qt or napari is imported before that.
"""

from __future__ import annotations

from typing import Any


def __getattr__(name: str) -> Any:
    if name == "EvaluateWidget":
        from ._evaluate import EvaluateWidget

        value: Any = EvaluateWidget
    elif name == "MeasureWidget":
        from ._measure import MeasureWidget

        value = MeasureWidget
    elif name == "RecipeWidget":
        from ._recipe import RecipeWidget

        value = RecipeWidget
    elif name == "CompareWidget":
        from ._compare import CompareWidget

        value = CompareWidget
    elif name == "TryAllWidget":
        from ._try_all import TryAllWidget

        value = TryAllWidget
    elif name.startswith("sample_"):
        from ._sample_layers import factory

        value = factory(name.removeprefix("sample_"))
    elif name.endswith("Widget"):
        value = _row_widget(name)
    else:
        value = None
    if value is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def _row_widget(name: str) -> Any:
    """Make the widget class of the row that this class name stands for, or return None."""
    from .. import catalog
    from .manifest import class_name

    row = next((row for row in catalog.rows() if class_name(row) == name), None)
    if row is None:
        return None
    from ._frame import MethodFrame

    return type(name, (MethodFrame,), {"row": row, "__module__": __name__, "__doc__": f"The widget *{row}*."})
