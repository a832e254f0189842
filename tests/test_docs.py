"""The manual: what it links to is there, and the definition on its page is the one that the code follows."""

from __future__ import annotations

import doctest
import json
import re
import shlex
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import napari_cutout as nc
from napari_cutout import catalog
from napari_cutout.cli import main
from napari_cutout.methods._flood import levels

ROOT = Path(__file__).parents[1]
MANUAL = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), *sorted((ROOT / "benchmarks").rglob("*.md"))]
NETWORKS = {"unet_predict.png", "unet_from_strokes.png"}
"""Pictures of methods that train a network."""

LINK = re.compile(r"\]\(([^)#\s]+)")


@pytest.fixture
def pictures(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    """The script that draws the pictures of methods, writing elsewhere."""
    monkeypatch.syspath_prepend(str(ROOT / "docs"))
    script = __import__("make_method_pictures")
    monkeypatch.setattr(script, "FOLDER", tmp_path)
    return script


@pytest.fixture
def clustering(pictures: ModuleType) -> ModuleType:
    """The script that draws what clustering does, writing elsewhere."""
    return __import__("make_clustering_pictures")


@pytest.fixture
def walker(pictures: ModuleType) -> ModuleType:
    """The script that draws what the random walker does, writing elsewhere."""
    return __import__("make_walker_pictures")


@pytest.fixture
def graphs(pictures: ModuleType) -> ModuleType:
    """The script that draws what graph-based methods do, writing elsewhere."""
    return __import__("make_graph_pictures")


@pytest.fixture
def network(pictures: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    """The script that draws what the U-Net does, writing elsewhere, of networks that have learned next to nothing."""
    pytest.importorskip("torch").set_num_threads(1)
    script = __import__("make_unet_pictures")
    guide = tmp_path / "guide"
    guide.mkdir()
    monkeypatch.setattr(script, "FOLDER", guide)
    monkeypatch.setattr(script, "TINY", {**script.TINY, "n_steps": 2})
    for name in ("N_STEPS", "STROKE_STEPS"):
        monkeypatch.setattr(script, name, 2)
    return script


@pytest.mark.parametrize("path", MANUAL, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path: Path) -> None:
    links = [link for link in LINK.findall(path.read_text(encoding="utf-8")) if "://" not in link]
    assert [link for link in links if not (path.parent / link).exists()] == []


def test_the_pages_of_the_watershed_show_it_and_lead_to_its_definition() -> None:
    for name in (
        "watershed",
        "watershed_from_minima",
        "markers_from_minima",
        "split_touching",
        "markers_from_distance",
    ):
        page = (ROOT / "docs" / "methods" / f"{name}.md").read_text(encoding="utf-8")
        assert f"](../pictures/methods/{name}.png)" in page
        assert ("](../watershed-definition.md)" in page) == (catalog.find(name).row == "Watershed")


@pytest.mark.parametrize("seed", range(20))
def test_the_rules_on_the_page_are_those_of_the_flood(pictures: ModuleType, seed: int) -> None:
    rng = np.random.default_rng(seed)
    image = rng.integers(0, rng.integers(1, 9), (12, 17)).astype(np.uint8)
    markers = np.zeros(image.shape, np.uint8)
    markers.reshape(-1)[rng.choice(image.size, 5, replace=False)] = np.arange(1, 6)
    level = levels(image.astype(np.uint32), np.where(markers > 0, image, pictures.NEVER).astype(np.uint32), None, 1)
    steps = pictures.distances_of(level, markers)
    np.testing.assert_array_equal(pictures.by_the_rule(level, steps, markers), nc.watershed(image, markers))


@pytest.mark.parametrize("name", ["clustering.md", "graph-based.md", "large-volumes.md", "random-walker.md", "unet.md"])
def test_the_walk_through_a_guide_does_what_it_says(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)  # some write files for the lines that follow
    if name == "unet.md":
        pytest.importorskip("torch").set_num_threads(1)
    page = (ROOT / "docs" / name).read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    lines = doctest.DocTestParser().get_doctest("\n".join(blocks), {}, name, None, None)
    said: list[str] = []
    results = doctest.DocTestRunner().run(lines, out=said.append)
    assert results.attempted > 12
    assert results.failed == 0, "".join(said)
    if name != "clustering.md":
        lines_of_shell = [
            line for block in re.findall(r"```sh\n(.*?)```", page, re.DOTALL) for line in block.splitlines()
        ]
        assert len(lines_of_shell) > 5
        for line in lines_of_shell:
            program, *tokens = shlex.split(line)
            assert (program, main(tokens)) == ("napari-cutout", 0), line + "\n" + capsys.readouterr().err


def test_the_pages_of_clustering_show_it_and_lead_to_the_walk() -> None:
    for name in ("kmeans", "gaussian_mixture"):
        page = (ROOT / "docs" / "methods" / f"{name}.md").read_text(encoding="utf-8")
        assert f"](../pictures/methods/{name}.png)" in page
        assert "](../clustering.md)" in page


def test_the_pages_of_the_random_walker_show_it_and_lead_to_the_walk() -> None:
    page = (ROOT / "docs" / "methods" / "random_walker.md").read_text(encoding="utf-8")
    assert "](../pictures/methods/random_walker.png)" in page
    assert "](../random-walker.md)" in page


def test_the_pages_of_graph_based_methods_show_them_and_lead_to_the_walk() -> None:
    for name in ("felzenszwalb", "superpixels", "merge_regions", "normalized_cut", "graph_cut"):
        page = (ROOT / "docs" / "methods" / f"{name}.md").read_text(encoding="utf-8")
        assert f"](../pictures/methods/{name}.png)" in page
        assert "](../graph-based.md)" in page


def test_the_pages_of_the_u_net_show_it_and_lead_to_the_walk() -> None:
    for name in ("unet_predict", "unet_from_strokes"):
        page = (ROOT / "docs" / "methods" / f"{name}.md").read_text(encoding="utf-8")
        assert f"](../pictures/methods/{name}.png)" in page
        assert "](../unet.md)" in page


def test_the_script_draws_the_pictures_of_the_u_net(network: ModuleType, tmp_path: Path) -> None:
    """Networks differ between machines, so what they say is not compared with what was drawn before."""
    rows = [{"part": "classical", "name": "thresholds", "dice": 0.6}]
    for part in ("curve", "forest"):
        for what, share in (("5 strokes on each of 8", 0.01), ("1 section", 0.125), ("2 sections", 0.25)):
            rows.append({"part": part, "what": what, "annotated": share, "dice": 0.5 + share})
    network.MEASURED = tmp_path / "rows.json"
    network.MEASURED.write_text(json.dumps({"rows": rows}))
    network.draw()
    kept = ROOT / "docs" / "pictures"
    for path in (*tmp_path.glob("guide/*.png"), *tmp_path.glob("*.png")):
        with network.Image.open(path) as drawn:
            assert min(drawn.size) > 200
            assert len(drawn.getcolors(1 << 20)) > 20
    names = {path.name for path in tmp_path.glob("guide/*.png")}
    assert {path.name for path in kept.glob("unet-*.png")} | {"unet-learning-curve.png"} == names
    assert {path.name for path in tmp_path.glob("*.png")} == NETWORKS


def test_the_pictures_are_those_that_the_script_draws(
    pictures: ModuleType, clustering: ModuleType, walker: ModuleType, graphs: ModuleType, tmp_path: Path
) -> None:
    pictures.draw_definition()
    pictures.draw_ties()
    pictures.draw_methods()
    clustering.draw()
    walker.draw()
    graphs.draw()
    kept = ROOT / "docs" / "pictures" / "methods"
    of_other_tests = NETWORKS | {path.name for path in kept.glob("*-cases.png")}
    assert {path.name for path in tmp_path.iterdir()} | of_other_tests == {path.name for path in kept.iterdir()}
    for path in tmp_path.iterdir():
        drawn, before = (np.asarray(pictures.Image.open(at).convert("RGB"), int) for at in (path, kept / path.name))
        assert drawn.shape == before.shape
        assert np.mean(np.abs(drawn - before) > 40) < 0.01, path.name  # fonts are drawn a little differently


def test_every_widget_has_its_picture_in_both_themes(pictures: ModuleType) -> None:
    page = __import__("_widget_page")
    wanted = [page.picture(name, theme) for name in page.names() for theme in page.THEMES]
    wanted += [page.montage(theme) for theme in page.THEMES]
    assert [path.name for path in wanted if not path.exists()] == []
    assert [path.name for path in wanted[:-2] if path.stat().st_size > 60_000] == []
    assert sorted(path.name for path in page.PICTURES.glob("*.png")) == sorted(path.name for path in wanted)


def test_the_lines_of_the_readme_for_a_shell_and_for_python_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    page = (ROOT / "README.md").read_text(encoding="utf-8")
    shell = page.partition("## On the command line")[2].partition("```sh\n")[2].partition("```")[0]
    code = page.partition("## In Python")[2].partition("```python\n")[2].partition("```")[0]
    sample = nc.samples.nuclei_2d(shape=(96, 96))
    nc.write("nuclei.tif", sample.image, kind="image")
    for condition in ("control", "treated"):
        for folder, volume in (("plate1", sample.image), ("annotations1", sample.truth)):
            (tmp_path / folder / condition).mkdir(parents=True)
            nc.write(tmp_path / folder / condition / "a.tif", volume, kind="image" if folder == "plate1" else "labels")
    lines = [line for line in shell.splitlines() if line]
    assert len(lines) > 5
    for line in lines:
        program, *tokens = shlex.split(line, comments=True)
        tokens += ["--methods", "threshold"] if tokens[0] == "compare" else []
        assert (program, main(tokens)) == ("napari-cutout", 0), line + "\n" + capsys.readouterr().err
    for table in ("objects.csv", "measured.csv"):
        head, *rows = (tmp_path / table).read_text(encoding="utf-8").splitlines()
        assert {"image", "folder", "label", "area_um2", "mean"} <= set(head.split(","))
        assert {row.split(",")[1] for row in rows} == {"control", "treated"}
    monkeypatch.setattr(nc.samples, "nuclei_2d", lambda: sample)
    exec(compile(code, "README.md", "exec"), {})
    assert "µm²" in capsys.readouterr().out
