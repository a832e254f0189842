"""How good a segmentation is, from counts that add over chunks."""
