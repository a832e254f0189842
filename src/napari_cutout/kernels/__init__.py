"""CUDA kernels of this project, and the one place that compiles them.  The methods so far need none."""
