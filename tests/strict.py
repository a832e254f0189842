"""array-api-strict as a stand-in for a GPU: it has no function beyond the standard, and a second device.

A hidden conversion of an array on that device to NumPy raises, as it would for CuPy. The twin of
``scipy.ndimage`` moves arrays aloud, as CuPy's twin keeps them on the GPU.
"""

from __future__ import annotations

import sys
import types
from typing import Any

import array_api_strict as xp
import numpy as np
from scipy import ndimage

from napari_cutout import _array

DEVICE = xp.Device("device1")


def on_host(array: Any) -> Any:
    return xp.asarray(np.array(array))


def on_device(array: Any) -> Any:
    return xp.asarray(np.array(array), device=DEVICE)


def to_host(array: Any) -> Any:
    return np.asarray(array.to_device(xp.Device("CPU_DEVICE"))) if isinstance(array, xp._array_object.Array) else array


class _Twin(types.ModuleType):
    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        function = getattr(ndimage, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            device = next((a.device for a in args if hasattr(a, "device") and not isinstance(a, np.ndarray)), None)
            result = function(*map(to_host, args), **{k: to_host(v) for k, v in kwargs.items()})
            if device is None:
                return result
            parts = result if isinstance(result, tuple) else (result,)
            moved = tuple(xp.asarray(p, device=device) if isinstance(p, np.ndarray) else p for p in parts)
            return moved if isinstance(result, tuple) else moved[0]

        return call


sys.modules["strict_ndimage"] = _Twin("strict_ndimage")
_array.NDIMAGE["array_api_strict"] = "strict_ndimage"
