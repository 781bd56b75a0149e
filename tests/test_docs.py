"""What the documentation prints from the code is what the code says."""

from __future__ import annotations

import re
from pathlib import Path

from zeoarray import schema
from zeoarray.cli import COMMANDS

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
