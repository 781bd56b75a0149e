"""What the documentation prints from the code is what the code says."""

from __future__ import annotations

import re
from pathlib import Path

import matplotlib as mpl
import nbformat
import pytest
from nbclient import NotebookClient

from tests.conftest import DEMO
from zeoarray import pipeline, schema
from zeoarray.cli import COMMANDS

ROOT = Path(__file__).parents[1]
PICTURES = {"labelled_data": 6, "registration": 1, "fusion": 1, "super_resolution": 2}
SLOW = ("super_resolution",)
"""Notebooks that train networks."""


def test_the_data_model_page_is_printed_from_the_schema() -> None:
    page = (ROOT / "docs/reference/data_model.md").read_text(encoding="utf-8")
    assert page.rstrip() == schema.reference().rstrip(), "run `make docs`"


def test_every_page_is_in_the_index_and_every_link_leads_somewhere() -> None:
    nav = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    for page in (ROOT / "docs").rglob("*.md"):
        assert page.relative_to(ROOT / "docs").as_posix() in nav
    for page in (ROOT / "README.md", *(ROOT / "docs").rglob("*.md")):
        for link in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
            if "://" not in link:
                assert (page.parent / link).exists(), f"{page.name} links to {link}"


def test_the_commands_that_the_pages_name_exist() -> None:
    for page in (ROOT / "README.md", *(ROOT / "docs").rglob("*.md")):
        text = page.read_text(encoding="utf-8")
        for name in re.findall(r"^zeoarray (\w+)", text, re.MULTILINE):
            assert name in COMMANDS, f"{page.name} names zeoarray {name}"


def test_the_examples_of_the_tutorial_run(demo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (ROOT / "docs/tutorial.md").read_text(encoding="utf-8")
    monkeypatch.chdir(demo)
    mpl.use("Agg")
    names: dict[str, object] = {}
    exec("\n".join(re.findall(r"```python\n(.*?)```", text, re.DOTALL)), names)  # noqa: S102
    assert {"counts", "transmission", "share"} <= names.keys()


def test_what_the_tutorial_sets_can_be_set(demo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (ROOT / "docs/tutorial.md").read_text(encoding="utf-8")
    told = dict(re.findall(r"--set (\S+?)=(\S+)", text))
    assert told
    monkeypatch.chdir(demo)
    loaded = pipeline.read(ROOT / "pipelines/demo.yaml", given={**DEMO, **told})
    assert len(pipeline.check(loaded)) == len(loaded.stages)


def test_every_notebook_is_run() -> None:
    assert {path.stem for path in (ROOT / "docs/notebooks").glob("*.ipynb")} == {*PICTURES}


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.prove if n in SLOW else ()) for n in PICTURES]
)
def test_notebooks_run(name: str, demo: Path) -> None:
    if name in SLOW:
        pytest.importorskip("torch")
    path = ROOT / f"docs/notebooks/{name}.ipynb"
    notebook = nbformat.read(path, as_version=4)
    assert path.stat().st_size < 300_000
    where = {"metadata": {"path": str(demo)}}
    # Raises with the cell and its error.
    limit = 3600 if name in SLOW else 250
    NotebookClient(notebook, timeout=limit, kernel_name="python3", resources=where).execute()
    outputs = [o for cell in notebook.cells for o in cell.get("outputs", [])]
    assert sum("image/png" in o.get("data", {}) for o in outputs) == PICTURES[name]
