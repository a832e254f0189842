"""Take the pictures of the widget *Recipe* from the real program: ``python docs/make_recipe_pictures.py [folder]``.

Nuclei are cut and split in two widgets, the steps are changed upstream in the widget *Recipe*, and run on a folder.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from make_screenshots import HERE, give_a_screen, open_widget, press, resize, save, settle, show_all, window

DOCK = 360
"""Width of the widget in pixels."""


def begun(viewer: Any) -> Any:
    """Cut and split nuclei in two widgets, and open the widget on what came out."""
    viewer.open_sample("napari-cutout", "nuclei_2d")
    viewer.layers.remove("nuclei_2d_truth")
    for name in ("Threshold", "Split touching"):
        widget = open_widget(viewer, name)
        press(widget)
        viewer.window.remove_dock_widget(widget)
    viewer.layers["nuclei_2d threshold"].visible = False
    widget = open_widget(viewer, "Recipe")
    resize(widget, width=DOCK)
    show_all(viewer)
    return widget


def recipe(viewer: Any, folder: Path) -> None:
    """Change the threshold under the split, and clean up between the two."""
    widget = begun(viewer)
    widget.steps.rows.setCurrentRow(0)
    widget.insert("objects")
    widget.set(2, min_size=60)
    widget.set(1, sigma=1.0)
    widget.steps.rows.setCurrentRow(0)
    press(widget)
    viewer.layers["nuclei_2d threshold split touching"].visible = False
    widget.set(3, min_size=80)
    press(widget)


def recipe_folder(viewer: Any, folder: Path) -> None:
    """Run the steps on a folder."""
    from napari_cutout import io
    from napari_cutout._volume import Volume

    widget = begun(viewer)
    image = viewer.layers["nuclei_2d"].data
    for number in range(4):
        turned = np.ascontiguousarray(np.rot90(image, number))
        io.write(folder / "plate" / f"well_{number + 1}.tif", Volume(turned, "yx"), kind="image")
    (folder / "plate" / "well_5.tif").write_bytes(b"no image")
    widget.batch.choose("folder")
    os.environ["HOME"] = str(folder)
    widget.batch.source.line.setText("~/plate")
    widget.batch.target.line.setText("~/cut")
    press(widget)
    widget.bar.status.setText(widget.bar.status.text().replace(str(folder), "~"))  # nobody else has this folder
    settle()
    bar = widget._column.verticalScrollBar()
    bar.setValue(bar.maximum())


PICTURES: dict[str, Callable[[Any, Path], None]] = {"recipe": recipe, "recipe-folder": recipe_folder}


def main() -> int:
    """Take all pictures, or those that are named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=HERE / "pictures", help="where to write")
    parser.add_argument("--only", nargs="+", choices=list(PICTURES), help="take these only")
    parser.add_argument("--theme", choices=["dark", "light"], default="dark", help="napari's theme")
    arguments = parser.parse_args()
    give_a_screen()
    target = arguments.folder.absolute()
    with TemporaryDirectory() as home:
        os.environ |= {"XDG_CONFIG_HOME": home, "XDG_CACHE_HOME": home, "XDG_DATA_HOME": home}
        for name in arguments.only or PICTURES:
            folder = Path(home, name)
            (folder / "plate").mkdir(parents=True)
            with window() as viewer:
                viewer.theme = arguments.theme
                PICTURES[name](viewer, folder)
                save(viewer, target / f"{name}.png")
            print(target / f"{name}.png")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
