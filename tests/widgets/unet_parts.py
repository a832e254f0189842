"""What the tests of the widget *U-Net* share: a model that was never trained, and a form on a layer."""

from __future__ import annotations

import numpy as np

from napari_cutout import catalog
from napari_cutout.unet._weights import weights_for
from napari_cutout.unet.architecture import architecture_for
from napari_cutout.unet.trained import N_OUTPUTS, UNetModel
from napari_cutout.widgets._request import Form
from napari_cutout.widgets._target import recalled


def model(*, classes=(1, 2), n_channels=1, ndim=2, head="classes", dice=0.8125, name="cells"):
    """Return a tiny U-Net whose weights are random."""
    shape = (16,) * ndim
    n_outputs = N_OUTPUTS.get(head, len(classes))
    architecture = architecture_for(shape, n_channels=n_channels, n_outputs=n_outputs, depth=1, width=2)
    random = np.random.default_rng(0)
    weights = {
        key: np.zeros(size, dtype) if dtype == "int64" else random.uniform(0.1, 1, size).astype(dtype)
        for key, (size, dtype) in weights_for(architecture).items()
    }
    return UNetModel(architecture, weights, classes, head, None, {"dice": dice}, name)


def form_on(image, **choice):
    """Return what the form of the U-Net says on an image layer."""
    from dataclasses import replace

    return Form(catalog.find("unet_predict"), {"image": image, "mask": None}, {}, replace(recalled(image), **choice))
