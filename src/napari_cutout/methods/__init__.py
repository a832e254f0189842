"""The segmentation methods, one module per family."""
