"""Training beside a window of OpenGL, whose driver brings its own LLVM: with a torch that brings triton."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec

import pytest

TRAIN = """
from qtpy.QtOpenGLWidgets import QOpenGLWidget
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication
application = QApplication([])
window = QOpenGLWidget()
window.show()
assert QTest.qWaitForWindowExposed(window)
window.grabFramebuffer()
import numpy as np
import napari_cutout as nc
image = np.kron([[0, 1], [1, 0]], np.ones((16, 16), np.float32))
model = nc.unet_train(image, 1 + (image > 0).astype(int), width=4, depth=2, patch=(16, 16), n_steps=2, device="cpu")
nc.unet_predict(image, model=model)
window.grabFramebuffer()
import sys
print("triton" in sys.modules)
"""


@pytest.mark.qt
@pytest.mark.slow
@pytest.mark.skipif(find_spec("triton") is None, reason="needs a torch for CUDA, which brings triton")
def test_a_network_learns_beside_a_window_of_opengl():
    told = subprocess.run([sys.executable, "-c", TRAIN], capture_output=True, text=True, check=False)
    assert (told.returncode, told.stdout.split()) == (0, ["True"]), told.stderr
