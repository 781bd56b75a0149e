"""What the documentation prints from the code is what the code says."""

from __future__ import annotations

import re
from pathlib import Path

import matplotlib as mpl
import pytest

from tests.cli.test_malformed import nxtomo
from zeoarray import schema
from zeoarray.cli import COMMANDS
from zeoarray.ingest.into import into_store

ROOT = Path(__file__).parents[1]


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


def test_the_examples_of_the_tutorial_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = nxtomo(tmp_path / "a.nxs")
    root = tmp_path / "demo/zn13x.zarr"
    into_store(source, root, "xct/i13-2.6um/scan", {"pixel_size": "2.6 um"})
    text = (ROOT / "docs/tutorial.md").read_text(encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    mpl.use("Agg")
    names: dict[str, object] = {}
    exec("\n".join(re.findall(r"```python\n(.*?)```", text, re.DOTALL)), names)  # noqa: S102
    assert "transmission" in names
