"""A row that shows a feature of what is in view, as voxels are compared by it, in a layer that goes away again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from qtpy.QtWidgets import QComboBox, QHBoxLayout, QLabel, QVBoxLayout, QWidget

from ._access import explain
from ._dock import sentence_line, show_sentence
from ._feature_job import Column, FeatureJob, columns_of
from ._preferences import preferences
from ._preview import Preview
from ._preview_job import PreviewAnswer
from ._preview_layer import PreviewImage, limits_of
from ._request import Form
from ._showing_row import ShowingRow
from ._target import Target

__all__ = ["FeatureRow"]

NOTHING = "nothing"


class FeatureRow(ShowingRow):
    """Shows one of the features that the form compares voxels by.

    Parameters
    ----------
    frame : MethodFrame
        The form that it belongs to.

    Attributes
    ----------
    box
        What to show; the first entry is nothing.
    preview
        Shows it.
    """

    def __init__(self, frame: Any) -> None:
        super().__init__()
        self._frame = frame
        self._columns: dict[str, Column] = {}
        self._form: Form | None = None
        self._named: Column | None = None
        self._hidden = False
        self.preview = Preview(frame.viewer, self, delay=preferences().preview_delay_ms, shown=PreviewImage)
        self.box = QComboBox()
        self.box.addItem(NOTHING)
        explain(self.box, "show feature", "Show one of the features, of what is in view, in a layer that is not kept.")
        self.box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.box.currentIndexChanged.connect(self._chosen)
        self.line = sentence_line()
        label = QLabel("show feature")
        label.setBuddy(self.box)
        self._inner = QWidget()
        row = QHBoxLayout(self._inner)
        row.setContentsMargins(6, 0, 6, 0)
        row.addWidget(label)
        row.addWidget(self.box, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._inner)
        layout.addWidget(self.line)
        self.preview.view_changed.connect(self._frame.refresh)
        self.preview.answered.connect(self._answered)
        self.preview.failed.connect(lambda sentence: show_sentence(self.line, f"no feature is shown: {sentence}"))
        self.preview.switched_off.connect(lambda: self.box.setCurrentIndex(0))

    @property
    def column(self) -> Column | None:
        """What is chosen; None for nothing."""
        return self._columns.get(self.box.currentText())

    def refresh(self, form: Form | None, facts: Mapping[str, Any]) -> None:
        """Offer the features that the form says, and show what is chosen of them as they are now."""
        self._form = form
        if form is None:
            self.preview.clear()
            return
        try:
            form.method.check_settings(form.settings)
            aim = form.target
            n_channels = aim.selection.n_channels(tuple(aim.array.shape))
            features, scales = form.settings["features"], form.settings["scales"]
            self._offer(columns_of(features, scales, len(aim.selection.run_axes), n_channels))
        except (TypeError, ValueError):  # the form says what is wrong, and what was shown stays
            return
        self._ask(aim)

    def let_go(self) -> None:
        """Stop what runs and forget the viewer."""
        self.preview.let_go()

    def _offer(self, columns: Mapping[str, Column]) -> None:
        """Offer these columns; what was chosen stays chosen, also if its scale has another value now."""
        self._inner.setVisible(any(column.feature != "intensity" for column in columns.values()) and len(columns) > 1)
        if columns == self._columns:
            return
        before, self._columns = self.column, dict(columns) if len(columns) > 1 else {}
        names = [NOTHING, *self._columns]
        at = next((n for n, name in enumerate(names) if before is not None and self._columns.get(name) == before), 0)
        self.box.blockSignals(True)
        self.box.clear()
        self.box.addItems(names)
        self.box.setCurrentIndex(at)
        self.box.blockSignals(False)
        if at == 0:
            self._chosen()

    def _chosen(self, _: int = 0) -> None:
        show_sentence(self.line, "")
        on = self.column is not None
        if on == self.preview.is_on:
            self._again()
        else:
            self.preview.set_on(on)  # which asks the form to be read again

    def _again(self) -> None:
        if self._form is not None and self.preview.is_on:
            self._ask(self._form.target)

    def _ask(self, aim: Target) -> None:
        column = self.column
        if column is None or self._form is None or self._hidden:
            return
        job, layers, _ = self._frame.preview_job(self._form)
        wanted = FeatureJob(job.recipe, job.inputs, job.view, job.tokens, column)
        self.preview.ask(wanted, layers, aim.place, aim.spread)

    def _answered(self, answer: PreviewAnswer) -> None:
        """Name the layer after what it shows, and fit its contrast when that has changed."""
        layer: Any = self.preview.layer
        column = answer.facts["column"]
        name = f"feature {next((name for name, known in self._columns.items() if known == column), '')}".strip()
        if layer.name != name or self._named != column:
            layer.name, layer.contrast_limits = name, limits_of(answer.labels)
            layer.reset_contrast_limits_range()
        self._named = column
        show_sentence(self.line, f"approximate: {answer.approximate}" if answer.approximate else "")

    def hideEvent(self, event: Any) -> None:
        """Take the layer away while the widget is not seen."""
        self._hidden = True
        self.preview.clear()
        super().hideEvent(event)

    def showEvent(self, event: Any) -> None:
        """Show it again."""
        self._hidden = False
        super().showEvent(event)
        if not self._frame.closed:
            self._again()
