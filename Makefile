# Each target sets up what it needs, from nothing but Python, make and a compiler.
PYTHON ?= python3
BIN := .venv/bin
OUT ?= demo-output
PYTEST_ARGS ?=
INSTALL = $(BIN)/uv pip install --quiet --python $(BIN)/python --constraint constraints.txt

# Where bytecode may not be kept, every process compiles all of its libraries again: up to 7 s of each.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: demo app test test-long lint bench docs pictures changelog dist clean

demo: .venv/unet.stamp ## compare all methods on the samples, or on IMAGE=... TRUTH=... (IGNORE=0 for strokes)
	$(BIN)/napari-cutout demo "$(OUT)" $(if $(IMAGE),--image "$(IMAGE)") $(if $(TRUTH),--truth "$(TRUTH)") $(if $(IGNORE),--ignore $(IGNORE))

app: .venv/app.stamp ## napari with the plugin, in .venv

test: .venv/dev.stamp system-libraries ## every test but the slow ones, the widgets in a real viewer among them
	$(BIN)/python -m pytest --numprocesses 2 --dist loadscope $(PYTEST_ARGS)

test-long: .venv/dev.stamp system-libraries ## mutants and long Hypothesis profiles; before a release
	HYPOTHESIS_PROFILE=long $(BIN)/python -m pytest --numprocesses 2 --dist loadscope --slow $(PYTEST_ARGS)

lint: .venv/dev.stamp ## style, types, docstrings, and that generated files are up to date
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m napari_cutout.widgets.manifest --check
	$(BIN)/python docs/make_pages.py --check
	$(BIN)/python -m pytest --quiet tests/test_docstrings.py
	$(BIN)/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	$(BIN)/check-jsonschema --builtin-schema vendor.github-issue-forms .github/ISSUE_TEMPLATE/[!c]*.yml
	$(BIN)/check-jsonschema --builtin-schema vendor.citation-file-format CITATION.cff
	$(BIN)/towncrier build --draft --version next >/dev/null

bench: .venv/bench.stamp ## ours and the peers, interleaved, as ratios
	$(BIN)/python benchmarks/run.py

docs: .venv/dev.stamp ## the site, in build/site; pages that are made from the package are written anew before
	$(BIN)/python docs/make_pages.py
	$(BIN)/python -m sphinx --jobs auto --builder html --nitpicky --fail-on-warning --keep-going --quiet -c docs -d build/site-trees . build/site

pictures: .venv/dev.stamp system-libraries ## the screenshots, from the real program
	$(BIN)/python docs/make_screenshots.py docs/pictures
	$(BIN)/python docs/make_tutorial_pictures.py
	$(BIN)/python docs/make_method_pictures.py
	$(BIN)/python docs/make_case_pictures.py
	$(BIN)/python docs/make_clustering_pictures.py
	$(BIN)/python docs/make_walker_pictures.py
	$(BIN)/python docs/make_graph_pictures.py
	$(BIN)/python docs/make_evaluation_pictures.py
	$(BIN)/python docs/make_large_pictures.py
	$(BIN)/python docs/make_editing_pictures.py
	$(BIN)/python docs/make_recipe_pictures.py
	$(BIN)/python docs/make_widget_pictures.py

changelog: .venv/dev.stamp ## show what the next release brings, or write it with VERSION=...
	$(BIN)/towncrier build $(if $(VERSION),--yes --version "$(VERSION)",--draft --version next)

dist: .venv/release.stamp system-libraries ## sdist and wheel, checked, and the wheel tried in an environment of its own
	.ci/dist

clean:
	rm -rf .venv demo-output dist

.PHONY: system-libraries
system-libraries:
	@.ci/system-libraries

.venv/base.stamp: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt uv
	$(INSTALL) --editable .
	touch $@

.venv/app.stamp: .venv/base.stamp
	$(INSTALL) --editable ".[app]"
	touch $@

.venv/unet.stamp: .venv/base.stamp
	$(BIN)/python -m pip install --quiet --constraint constraints.txt torch # uv would take the build for CUDA
	$(INSTALL) --editable ".[unet]"
	touch $@

.venv/dev.stamp: .venv/unet.stamp
	$(INSTALL) --editable ".[app,test,lint,docs,cluster,unet,zoo]"
	touch $@

.venv/release.stamp: .venv/base.stamp
	$(INSTALL) --editable ".[release]"
	touch $@

.venv/bench.stamp: .venv/dev.stamp
	$(INSTALL) --editable ".[bench]"
	touch $@
