"""The command line as ``python -m napari_cutout``."""

import sys

from .cli import main

if __name__ == "__main__":
    sys.exit(main())
