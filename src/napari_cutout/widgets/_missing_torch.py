"""What stands in the form of the U-Net where torch is not installed."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtGui import QGuiApplication
from qtpy.QtWidgets import QLabel, QPushButton, QVBoxLayout, QWidget

from ..unet._torch import INSTALL

__all__ = ["missing_torch"]


def missing_torch() -> QWidget:
    """Return what stands where torch is not installed: the line that installs it, to copy."""
    found = QWidget()
    line = QLabel(f"The U-Net needs torch, which is not installed. Install it, and start napari again:\n{INSTALL}")
    line.setWordWrap(True)
    line.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    copy = QPushButton("Copy the line")
    copy.setToolTip("Put the line that installs torch on the clipboard.")
    copy.clicked.connect(lambda _=False: QGuiApplication.clipboard().setText(INSTALL))
    layout = QVBoxLayout(found)
    layout.setContentsMargins(6, 4, 6, 4)
    layout.addWidget(line)
    layout.addWidget(copy)
    return found
