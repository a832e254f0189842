"""Cut objects out of microscopy images and large volumes: the same labels everywhere.

Public functions are flat and load their modules at first use, so that importing the package costs next to
nothing: ``import napari_cutout as nc; nc.threshold(image, method="otsu")``. What is public stands in the stub
beside this file, which type checkers and the lazy loader read alike.
"""

import lazy_loader

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
