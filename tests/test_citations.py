"""What a paper says of a run: the works that the docstrings name, for the settings that ran, as text and BibTeX."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

import napari_cutout as nc
from napari_cutout import Recipe, Selection, Step, catalog
from napari_cutout._citations import ran
from napari_cutout._references import SPECIAL, escaped, holds, references_of

from .cases import settings_of

ROOT = Path(__file__).parents[1]
DOI = re.compile(r"DOI:(\S+)")
FUNCTIONS = [name for name in nc.__all__ if inspect.isfunction(getattr(nc, name))]
WITH_REFERENCES = sorted(
    path
    for path in Path(nc.__file__).parent.rglob("*.py")
    if re.search(r"^ *\.\. \[1\] ", path.read_text(), re.MULTILINE)
)
SOURCED = [name for name in FUNCTIONS if "\nReferences\n---" in inspect.cleandoc(getattr(nc, name).__doc__)]


def entries(bibtex: str) -> dict[str, dict[str, str]]:
    """Read BibTeX: from keys to fields, with the kind as ``"@"``. Braces must balance, as TeX counts them."""
    found: dict[str, dict[str, str]] = {}
    for kind, key, body in re.findall(r"^@(\w+)\{([^,\s]+),\n(.*?)\n\}$", bibtex, re.MULTILINE | re.DOTALL):
        fields = {"@": kind}
        for line in body.split("\n"):
            name, value = re.fullmatch(r"  (\w+) = \{(.*)\},", line).groups()  # type: ignore[union-attr]
            bare = re.sub(r"\\[{}\\]", "", value)
            depth = 0
            for sign in bare:
                depth += (sign == "{") - (sign == "}")
                assert depth >= 0, line
            assert depth == 0, line
            assert name not in fields
            fields[name] = value
        assert key not in found
        found[key] = fields
    assert len(found) == bibtex.count("\n@") + bibtex.startswith("@")
    return found


def shorts(what: Any, **options: Any) -> set[str]:
    """Return the first authors and years of what is cited: the keys without the word of the title."""
    keys = set(entries(nc.cite(what, **options).bibtex)) - {"napari_cutout"}
    return {re.match(r"[a-z]+\d{4}", key)[0] for key in keys}  # type: ignore[index]


# Every docstring -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SOURCED)
def test_every_doi_becomes_an_entry(name: str) -> None:
    dois = DOI.findall(getattr(nc, name).__doc__)
    found = entries(nc.cite(name).bibtex)
    software = found.pop("napari_cutout")
    assert software["note"] == f"Version {nc.__version__}"
    assert [fields["doi"] for fields in found.values() if "doi" in fields] == dois
    n_listed = len(re.findall(r"^ *\.\. \[\d+\] ", getattr(nc, name).__doc__, re.MULTILINE))
    assert len(found) == n_listed == len(nc.cite(name).references)
    for fields in found.values():
        assert fields["author"]
        assert fields["title"]
        where = {"article": "journal", "inproceedings": "booktitle", "incollection": "booktitle", "book": "publisher"}
        assert fields[where[fields["@"]]]
        assert re.fullmatch(r"(19|20)\d\d", fields["year"])


@pytest.mark.parametrize("path", WITH_REFERENCES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_every_docstring_has_the_house_format(path: Path) -> None:
    kinds = (ast.Module, ast.FunctionDef, ast.ClassDef)
    docstrings = [ast.get_docstring(node) for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, kinds)]
    works = [one for text in docstrings for one in references_of(text)]
    assert len(works) == sum(len(re.findall(r"^\.\. \[\d+\] ", text or "", re.MULTILINE)) for text in docstrings)
    assert [one.doi for one in works if one.doi] == [doi for text in docstrings for doi in DOI.findall(text or "")]


def test_keys_are_unique_over_the_library() -> None:
    works = [one for name in SOURCED for one in references_of(getattr(nc, name).__doc__)]
    assert len(works) > 20
    titles = {(one.key, one.title) for one in works}
    assert len(titles) == len({key for key, _ in titles}) == len({title for _, title in titles})


def test_one_work_reads_the_same_wherever_it_stands() -> None:
    texts: dict[str, set[str]] = {}
    for name in SOURCED:
        for one in references_of(getattr(nc, name).__doc__):
            texts.setdefault(one.key, set()).add(one.plain)
    assert not [several for several in texts.values() if len(several) > 1]


@pytest.mark.parametrize("method", catalog.methods().values(), ids=lambda m: m.name)
def test_conditions_speak_of_settings_that_there_are(method: Any) -> None:
    allowed = {p.name: (*p.choices, *p.words, *p.item_choices) for p in method.settings}
    for one in references_of(method.func.__doc__):
        assert set(one.settings) <= set(allowed)
        for name, word in re.findall(r'(\w+)(?:=| has )"(\w+)"', one.condition):
            assert word in allowed[name]
        one.stands_for({**{p.name: p.default for p in method.settings}, **settings_of(method)})


@pytest.mark.parametrize("method", catalog.methods().values(), ids=lambda m: m.name)
def test_every_method_can_be_cited_with_its_settings(method: Any) -> None:
    step = Step(method.name, settings_of(method))
    citation = nc.cite(step, evaluation=True)
    entries(citation.bibtex)
    assert f"he method {method.name} (" in citation.text  # it may be smoothed before
    assert citation.text.endswith(".")
    for name, value in step.chosen_settings.items():
        if isinstance(value, str):
            assert f"{name} = {value}" in citation.text
    for line in citation.references:
        surname = re.match(r"(?:-?[A-ZÇÖ][a-z]?\. ?)+([^,]+?)(?: et al\.| and |,)", line)[1]  # type: ignore[index]
        assert surname in citation.text


# Which works ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "works"),
    [
        ("otsu", {"otsu1979"}),
        ("li", {"li1998"}),
        ("yen", {"yen1995"}),
        ("triangle", {"zack1977"}),
        ("isodata", {"ridler1978"}),
        ("minimum", {"prewitt1966", "glasbey1993"}),
        ("mean", {"glasbey1993"}),
    ],
)
def test_a_threshold_cites_its_own_rule(method: str, works: set[str]) -> None:
    step = Step("threshold", {"method": method})
    assert shorts(step) == works
    assert f"with method = {method} (" in nc.cite(step).text


CLUSTERING = {"lloyd1982", "arthur2007", "lattanzi2019"}


@pytest.mark.parametrize(
    ("what", "works"),
    [
        (Step("kmeans"), {"wang2011"}),
        (Step("kmeans", {"features": ("intensity", "variance")}), CLUSTERING),
        (Step("kmeans", {"features": ("hessian",)}), CLUSTERING | {"sato1998"}),
        (Step("kmeans", {"features": ("structure",)}), CLUSTERING | {"weickert1999"}),
        (Step("kmeans", {"channel_axis": 0}), CLUSTERING),
        (Recipe([Step("kmeans")], Selection("cyx", channel="all")), CLUSTERING),
        (Recipe([Step("kmeans")], Selection("cyx", channel=0)), {"wang2011"}),
        (Step("gaussian_mixture"), {"dempster1977", "wang2011"}),
        (Step("gaussian_mixture", {"n_components": "auto"}), {"dempster1977", "wang2011", "schwarz1978"}),
        (Step("gaussian_mixture", {"smoothness": 0.5}), {"dempster1977", "wang2011", "celeux2003"}),
        (Step("hysteresis"), {"canny1986", "liao2001", "wang2011"}),
        (Step("hysteresis", {"low": 1.0}), {"canny1986", "liao2001", "wang2011"}),
        (Step("hysteresis", {"low": 0.0, "high": 2.0}), {"canny1986"}),
        (Step("threshold_at", {"value": 3.0}), set()),
        (Step("markers_from_distance"), {"meijster2000", "felzenszwalb2012"}),
        (Step("watershed"), {"beucher1993", "meyer1994", "cousty2009"}),
        (
            Step("watershed", {"surface": "distance"}, {"mask": "mask"}),
            {"beucher1993", "meyer1994", "cousty2009", "meijster2000", "felzenszwalb2012"},
        ),
        (Step("sauvola", {"background_radius": 9.0}), {"soille2004", "sauvola2000"}),
        (Step("sauvola", {"sigma": 2.0, "median_radius": 3}), {"sauvola2000"}),
        (["distance", "niblack"], {"meijster2000", "felzenszwalb2012", "niblack1986"}),
    ],
)
def test_works_follow_what_ran(what: Any, works: set[str]) -> None:
    assert shorts(what) == works


def test_a_name_alone_cites_all_that_its_docstring_names() -> None:
    assert shorts("threshold") == {
        *("otsu1979", "li1998", "yen1995", "zack1977", "ridler1978", "prewitt1966", "glasbey1993")
    }


def test_a_work_is_listed_once_and_in_order() -> None:
    recipe = Recipe(
        [
            Step("threshold", {"background_radius": 5.0, "method": "li"}),
            Step("watershed_from_minima", {"background_radius": 5.0}),
            Step("markers_from_minima", {}),
        ]
    )
    keys = list(entries(nc.cite(recipe).bibtex))
    assert keys == [
        *("napari_cutout", "soille2004morphological", "li1998iterative", "grimaud1992new"),
        *("beucher1993morphological", "meyer1994topographic", "cousty2009watershed"),
    ]
    text = nc.cite(recipe).text
    assert "(Soille, 2004, chapter 4)" in text  # the top-hat
    assert "(Soille, 2004, chapter 6)" in text  # minima; one book, which the list has without a chapter
    assert [line for line in nc.cite(recipe).references if "Soille" in line] == [
        'P. Soille, "Morphological Image Analysis", 2nd ed., Springer 2004. DOI:10.1007/978-3-662-05088-0'
    ]


# The paragraph -------------------------------------------------------------------------------------------


def test_a_paragraph_tells_the_steps_in_their_order() -> None:
    recipe = Recipe(
        [
            Step(
                "threshold",
                {
                    "method": "li",
                    "objects": "dark",
                    "background_radius": 20.0,
                    "median_radius": 2,
                    "sigma": 1.5,
                    "fill_holes": True,
                    "clear_border": True,
                    "min_size": 1500,
                    "one_per_object": True,
                },
                {"mask": "cells"},
            ),
            Step("split_touching", {"depth": 2.0, "min_size": 1}, {"labels": "step_1"}),
        ],
        Selection("tczyx", channel=1, level=2, box=((0, 3), (0, 9), (4, 64), (8, 70)), each="t", pooled=True),
    )
    assert nc.cite(recipe, version="9.8.7").text == (
        "Images were processed with napari-cutout 9.8.7. "
        "Of images with the axes t, c, z, y, x, channel 1 (the first is 0), at level 2 of the pyramid, in the region "
        "t 0 to 2, z 0 to 8, y 4 to 63, x 8 to 69, served as input. "
        "Time points were processed one by one, with the statistics of all of them. "
        "In step 1, uneven background wider than 20 was removed by a grey-level closing (Soille, 2004, chapter 4), "
        "the median of the box of radius 2 around every voxel was taken, "
        "the image was smoothed with a Gaussian of standard deviation 1.5, and "
        "the method threshold (cut at one grey level chosen from the histogram) was run on the image with the cells "
        "as mask, with method = li, objects = dark (Li and Tam, 1998). "
        "Holes in objects were filled, objects that touch an edge of the image were removed, objects of fewer than "
        "1,500 voxels were removed, and objects were numbered. "
        "In step 2, the method split_touching (cut touching objects apart where they are narrow) was run on the result "
        "of step 1 with depth = 2 (Malpica et al., 1997; Meijster et al., 2000; Felzenszwalb and Huttenlocher, 2012; "
        "Beucher and Meyer, 1993, chapter 12; Meyer, 1994; Cousty et al., 2009). "
        "Lengths are in edges of the smallest voxel. Settings that are not named had the defaults of this version."
    )


def test_one_step_needs_no_number() -> None:
    text = nc.cite(Step("sauvola", {"spacing": (2.0, 0.5, 0.5)})).text
    assert text == (
        f"Images were processed with napari-cutout {nc.__version__}. The method sauvola (compare each voxel with the "
        "mean around it, stricter where flat) was run with spacing = (2, 0.5, 0.5) (Sauvola and Pietikainen, 2000). "
        "Settings that are not named had the defaults of this version."
    )


@pytest.mark.parametrize(
    ("selection", "words"),
    [
        (Selection("yxc", channel="grey"), "axes y, x, c, the brightness of the colours served as input."),
        (Selection("zyx", each="z"), "z, y, x, all voxels served as input. Slices were processed one by one. "),
        (Selection("tzyx", each="tz"), "Time points and slices were processed one by one. "),
    ],
)
def test_a_selection_is_told(selection: Selection, words: str) -> None:
    assert words in nc.cite(Recipe([Step("threshold")], selection)).text
    assert "served as input" not in nc.cite(Recipe([Step("threshold")])).text


def test_regions_are_not_called_objects() -> None:
    text = nc.cite(Step("watershed", {"clear_border": True}, {"mask": "mask"})).text
    assert "was run with the markers and the mask (" in text
    assert " Regions that touch an edge of the image were removed. " in text


def test_scores_are_cited_where_asked_for() -> None:
    cited = nc.cite("sauvola", evaluation=True)
    assert "Labels were scored against the annotation with evaluate (" in cited.text
    assert " and evaluate_objects (" in cited.text
    assert {"sauvola2000", "jaccard1912", "dice1945"} <= shorts("sauvola", evaluation=True)
    assert shorts([], evaluation="soft_dice_loss") == {"milletari2016"}
    assert nc.cite("sauvola", evaluation=["soft_dice_loss"]).text.endswith(
        "with soft_dice_loss (Milletari et al., 2016)."
    )


def test_all_of_it_is_one_text() -> None:
    citation = nc.cite("sauvola")
    text, references, *entry = str(citation).split("\n\n")
    assert text == citation.text
    assert references == f"References\n- {citation.references[0]}"
    assert "\n\n".join(entry) == citation.bibtex
    assert "References" not in str(nc.cite("draw_lines"))


def test_the_version_that_ran_is_named() -> None:
    citation = nc.cite("sauvola", version=ran({"versions": {"napari-cutout": "0.0_1"}}))
    assert "napari-cutout 0.0_1." in citation.text
    assert entries(citation.bibtex)["napari_cutout"]["note"] == r"Version 0.0\_1"
    assert ran({}) is ran(None) is ran({"versions": 3}) is None


@pytest.mark.parametrize(
    ("what", "options", "error", "words"),
    [
        ("watersheds", {}, ValueError, "there is no function 'watersheds' to cite; name a method (threshold, "),
        ("Recipe", {}, ValueError, "there is no function 'Recipe'"),
        ("catalog", {}, ValueError, "there is no function 'catalog'"),
        ("sauvola", {"evaluation": ["score"]}, ValueError, "there is no function 'score'"),
        ([], {}, ValueError, "nothing to cite in []; give at least one step or name"),
        (3, {}, TypeError, "cite takes a Recipe, a Step, a name, or several of these, got 3"),
        ([3], {}, TypeError, "got [3]"),
    ],
)
def test_errors_say_what_to_do(what: Any, options: dict[str, Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=re.escape(words)):
        nc.cite(what, **options)


# The format of references --------------------------------------------------------------------------------

WRITTEN = """Do something.

References
----------
.. [1] A.-B. Cee, D. E. F. de la Gee, and H. Eye, "A study of IoU & Dice in 100 % of K-means", J. Odd_Things B 7
   (2001) e12. DOI:10.1/a_b<c> (if method="otsu" or method="li")
.. [2] J. Kay et al., "Cut", in Proc. 3rd Conf. Cuts (1999) 1-9, article 4. (if sigma > 0)
.. [3] L. Em and N. O'Oh, "On cuts", in A Book, of Cuts, North Press 2010, section 3.
.. [4] P. Pea, "Cuts", 3rd ed., South Press 2011, pages 7-8. (if features has "hessian")

Examples
--------
.. [5] Not a reference.
"""


def test_each_kind_of_reference_is_read() -> None:
    found = entries("\n\n".join(one.bibtex() for one in references_of(WRITTEN)))
    assert found == {
        "cee2001study": {
            "@": "article",
            "author": "Cee, A.-B. and de la Gee, D. E. F. and Eye, H.",
            "title": r"A study of {IoU} \& {Dice} in 100 \% of {K-means}",
            "journal": r"J. Odd\_Things B",
            "volume": "7",
            "year": "2001",
            "pages": "e12",
            "doi": "10.1/a_b<c>",
        },
        "kay1999cut": {
            "@": "inproceedings",
            "author": "Kay, J. and others",
            "title": "Cut",
            "booktitle": "Proc. 3rd Conf. Cuts",
            "year": "1999",
            "pages": "1--9",
            "note": "Article 4",
        },
        "em2010cuts": {
            "@": "incollection",
            "author": "Em, L. and O'Oh, N.",
            "title": "On cuts",
            "booktitle": "A Book, of Cuts",
            "publisher": "North Press",
            "year": "2010",
            "note": "Section 3",
        },
        "pea2011cuts": {
            "@": "book",
            "author": "Pea, P.",
            "title": "Cuts",
            "publisher": "South Press",
            "edition": "3rd",
            "year": "2011",
        },
    }


def test_titles_keep_their_case() -> None:
    found = entries(nc.cite("kmeans").bibtex)
    assert found["arthur2007means"]["title"] == "{k-means++:} the advantages of careful seeding"
    assert found["lloyd1982least"]["title"] == "Least squares quantization in {PCM}"


def test_works_are_named_as_in_a_paper() -> None:
    one, two, three, four = references_of(WRITTEN)
    assert one.short == "Cee et al., 2001"
    assert two.short == "Kay et al., 1999, article 4"
    assert three.short == "Em and O'Oh, 2010, section 3"
    assert four.short == "Pea, 2011, pages 7-8"
    assert four.plain == 'P. Pea, "Cuts", 3rd ed., South Press 2011.'
    assert two.plain == 'J. Kay et al., "Cut", in Proc. 3rd Conf. Cuts (1999) 1-9, article 4.'


@pytest.mark.parametrize(
    ("settings", "standing"),
    [
        (None, [1, 2, 3, 4]),
        ({}, [3]),
        ({"method": "li", "sigma": 0.0, "features": ("intensity",)}, [1, 3]),
        ({"method": "yen", "sigma": 0.1, "features": ("intensity", "hessian")}, [2, 3, 4]),
    ],
)
def test_conditions_choose_among_works(settings: dict[str, Any] | None, standing: list[int]) -> None:
    works = references_of(WRITTEN)
    assert [n for n, one in enumerate(works, start=1) if one.stands_for(settings)] == standing


def test_special_conditions_ask_how_many_numbers_a_voxel_has() -> None:
    for condition, several in SPECIAL.items():
        (one,) = references_of(f'References\n----------\n.. [1] A. Bee, "C", D 1 (2000) 2. (if {condition})\n')
        assert one.stands_for({}, several=several)
        assert not one.stands_for({}, several=not several)


@pytest.mark.parametrize(
    "text",
    [
        "N. Otsu, IEEE Trans. Syst. Man Cybern. 9 (1979) 62-66.",
        'N. Otsu, "A title", somewhere.',
        '"A title", J 1 (2000) 3.',
    ],
)
def test_a_reference_in_another_format_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"a reference must be AUTHORS, .*, got ") as caught:
        references_of(f"Do.\n\nReferences\n----------\n.. [1] {text}\n")
    assert repr(text) in str(caught.value)


def test_a_condition_in_another_format_is_refused() -> None:
    with pytest.raises(ValueError, match=r'a condition must be name="word".*got \'on Mondays\''):
        holds("on Mondays", {})


def test_no_section_means_no_works() -> None:
    assert references_of(None) == references_of("Do something.") == ()


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"])))
def test_what_is_escaped_reads_as_it_was(text: str) -> None:
    words = {"textbackslash": "\\", "textasciitilde": "~", "textasciicircum": "^", "textless": "<", "textgreater": ">"}
    as_tex = escaped(text)
    assert not re.search(r"(?<!\\)[&%$#_~^<>]", as_tex)
    read = re.sub(r"\\(?:([a-z]+)\{\}|([{}&%$#_]))", lambda m: words[m[1]] if m[1] else m[2], as_tex)
    assert read == text


# The file ------------------------------------------------------------------------------------------------


def test_the_citation_file_is_valid_and_of_this_version() -> None:
    text = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    content = yaml.safe_load(text)
    # What the schema of the Citation File Format 1.2.0 requires, and the types it gives.
    assert content["cff-version"] == "1.2.0"
    assert all(isinstance(content[key], str) and content[key] for key in ("message", "title"))
    assert content["authors"]
    assert all(isinstance(person["name"], str) and set(person) == {"name"} for person in content["authors"])
    assert content["type"] == "software"
    assert content["version"] == nc.__version__
    assert content["license"] == "BSD-3-Clause"
    assert len(set(content["keywords"])) == len(content["keywords"])
    known = {"cff-version", "message", "type", "title", "abstract", "authors", "version", "license", "keywords"}
    assert set(content) == known
    assert "CITATION.cff" in (ROOT / "README.md").read_text(encoding="utf-8")
    software = entries(nc.cite("draw_lines").bibtex)["napari_cutout"]
    assert software["title"] == content["title"]
    assert software["author"] == f"{{{content['authors'][0]['name']}}}"


@pytest.mark.parametrize("method", ["merge_regions", "normalized_cut", "graph_cut"])
def test_a_paper_says_that_there_were_superpixels_first_unless_regions_were_given(method: str) -> None:
    begun = nc.cite(Step(method, {"n_superpixels": 2500}))
    assert "The image was divided into about 2,500 superpixels (Achanta" in begun.text
    assert any(one.startswith("R. Achanta") for one in begun.references)
    source = {p.name: p.name for p in catalog.find(method).arrays if p.name in ("image", "markers")}
    given_regions = nc.cite(Step(method, inputs={**source, "regions": "regions"}))
    assert "superpixels" not in given_regions.text + given_regions.bibtex


def test_a_paper_says_nothing_of_superpixels_where_voxels_were_cut() -> None:
    assert "superpixels" not in nc.cite(Step("graph_cut", {"on": "voxels"})).text
