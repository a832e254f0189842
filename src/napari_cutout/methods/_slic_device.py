"""SLIC on a device: the launches of ``slic.cu``."""
