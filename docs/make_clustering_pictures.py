"""Draw what clustering does, on samples that come along: ``python docs/make_clustering_pictures.py``.

Writes the pictures of ``docs/clustering.md`` and those of the two methods into ``docs/pictures/methods/``. Every label,
curve and number in them was computed by the code that they explain.
"""

from __future__ import annotations

import colorsys

import numpy as np
from make_method_pictures import FOLDER, Panel, enlarged, side_by_side
from PIL import Image, ImageDraw, ImageFont

import napari_cutout as nc
from napari_cutout._pictures import INK, stretched

CLASSES = np.uint8([(0, 0, 0), (66, 80, 122), (230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66)])
"""Colours of classes, 0 black; apart from each other for all eyes."""

TEXTURE = ("gaussian", "variance")

NOISE = 0.12
"""Standard deviation of the noise on the phantom, whose tissues are 0.1 apart."""


def classes(labels: np.ndarray) -> Image.Image:
    """Draw classes in their colours."""
    return enlarged(CLASSES[labels])


def grey(image: np.ndarray) -> Image.Image:
    """Draw an image of one channel."""
    return enlarged(stretched(image))


def nuclei() -> np.ndarray:
    """Return simulated nuclei, bright and dim ones."""
    return nc.samples.nuclei_2d(seed=1, shape=(150, 200)).image.data


def phantom() -> tuple[np.ndarray, np.ndarray]:
    """Return a slice through a head of few grey levels, and the same with noise."""
    clean = nc.samples.sample("shepp_logan_phantom").image.data[40:360, 60:340]
    return clean, clean + np.random.default_rng(0).normal(0, NOISE, clean.shape)


def tissue() -> np.ndarray:
    """Return a stained section in colour."""
    return nc.samples.sample("immunohistochemistry").image.data[100:325, 100:400]


# Histograms ---------------------------------------------------------------------------------------------


def curves(image: np.ndarray, n_components: int, height: int) -> Image.Image:
    """Draw the histogram of an image with the components of a mixture over it."""
    found = nc.fit_gaussian_mixture(image, n_components=n_components)
    counts, edges = np.histogram(image, 100, np.quantile(image, (0, 0.998)))
    middles, share = (edges[1:] + edges[:-1]) / 2, counts / image.size
    canvas = Image.new("RGB", (300, height), (255, 255, 255))
    pen = ImageDraw.Draw(canvas)
    scale = (height - 12) / np.sqrt(share.max())  # a root, so that the few bright voxels are seen

    def at(values: np.ndarray) -> list[tuple[float, float]]:
        return [(3.0 * i, height - 2 - scale * float(np.sqrt(v))) for i, v in enumerate(values)]

    for x, y in at(share):
        pen.rectangle((x, y, x + 2, height - 2), fill=(215, 215, 215))
    variances = found.covariances[:, 0, 0]
    for k, (weight, mean, variance) in enumerate(zip(found.weights, found.means[:, 0], variances, strict=True), 1):
        density = np.exp(-((middles - mean) ** 2) / (2 * variance)) / np.sqrt(2 * np.pi * variance)
        pen.line(at(weight * density * np.diff(edges)), fill=tuple(CLASSES[k].tolist()), width=3)
    pen.text((96, 8), "grey levels, and components", INK, ImageFont.load_default(size=14))
    return canvas


def heat(share: np.ndarray) -> Image.Image:
    """Draw numbers from 0 to 1, from black through red to white."""
    ramp = [colorsys.hls_to_rgb(0.02 + 0.12 * v, v, 0.9) for v in np.linspace(0, 1, 256)]
    return enlarged((np.asarray(ramp) * 255).astype(np.uint8)[(np.clip(share, 0, 1) * 255).astype(np.uint8)])


# Pictures -----------------------------------------------------------------------------------------------


def draw_methods() -> None:
    """Draw the two methods on one channel, and what the mixture knows beyond its labels."""
    image = nuclei()
    shown = Panel("image", grey(image))
    found = Panel("mixture, 2 classes", classes(nc.gaussian_mixture(image, n_components=2)))
    means = Panel("k-means, 2 classes", classes(nc.kmeans(image, n_clusters=2)))
    three = Panel("k-means, 3 classes", classes(nc.kmeans(image)))
    fitted = Panel("2 components", curves(image, 2, shown.picture.height))
    side_by_side("kmeans", [shown, means, three], columns=3)
    side_by_side("gaussian_mixture", [shown, fitted, found], columns=3)
    side_by_side("clustering-one-channel", [shown, means, found, fitted], columns=2)
    chance = nc.probabilities(image, n_components=2)[1]
    doubt = nc.uncertainty(image, n_components=2)
    side_by_side(
        "clustering-probabilities",
        [shown, Panel("probability of class 2", heat(chance)), Panel("uncertainty", heat(doubt))],
        columns=3,
    )


def draw_smoothness() -> None:
    """Draw a noisy phantom, sorted voxel by voxel and with a say for neighbours."""
    _, noisy = phantom()
    panels = [Panel("image, noisy", grey(noisy))]
    for smoothness in (0.0, 4.0):
        labels = nc.gaussian_mixture(noisy, n_components=3, smoothness=smoothness)
        panels.append(Panel(f"mixture, smoothness {smoothness:g}", classes(labels)))
    side_by_side("clustering-smoothness", panels, columns=3)


def draw_features() -> None:
    """Draw coins on an unevenly lit ground, sorted by grey level and by what is around each voxel."""
    sample = nc.samples.coins()
    assert sample.truth is not None
    image, truth = sample.image.data, (sample.truth.data > 0).astype(np.uint8)
    panels = [Panel("image", grey(image))]
    for words, features in (("grey level", ("intensity",)), ("mean and roughness", TEXTURE)):
        labels = nc.kmeans(image, n_clusters=2, features=features)
        iou = nc.evaluate((labels == 2).astype(np.uint8), truth).mean_iou
        panels.append(Panel(f"{words}: IoU {iou:.2f}", classes(labels)))
    side_by_side("clustering-features", panels, columns=3)


def draw_channels() -> None:
    """Draw a stained section, sorted by brightness and by colour."""
    image = tissue()
    mean = nc.gaussian_mixture(image.mean(axis=-1, dtype=np.float32))
    together = nc.gaussian_mixture(image, channel_axis=-1)
    shown = Panel("image, 3 channels", enlarged(image))
    side_by_side(
        "clustering-channels",
        [shown, Panel("mixture of their mean", classes(mean)), Panel("of all three", classes(together))],
        columns=3,
    )


def draw() -> None:
    """Draw everything."""
    draw_methods()
    draw_smoothness()
    draw_features()
    draw_channels()


if __name__ == "__main__":
    FOLDER.mkdir(parents=True, exist_ok=True)
    draw()
