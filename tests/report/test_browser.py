"""The page in a real browser: it loads, asks no network, runs nothing, and fits the width."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import xarray as xr

from tests.report import browser, stores
from zeoarray import report, store

SCRIPT = "<script>document.title='pwned'</script><img src=http://127.0.0.1:9/leak onerror=alert(1)>"


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with browser.started() as found:
        yield found


def hostile(ds: xr.Dataset) -> xr.Dataset:
    """A dataset whose every text is a script."""
    step = {"step": SCRIPT, "version": 1, "parameters": {SCRIPT: SCRIPT}, "cites": [SCRIPT]}
    attrs = {
        "notes": [SCRIPT, f"'\"></td>{SCRIPT}"], "steps": [step], "reader": SCRIPT,
        "inputs": [{"path": SCRIPT, "stamp": [1, 2]}], "made_of": {SCRIPT: SCRIPT},
        "citations": {SCRIPT: f"{SCRIPT} doi:10.1234/\"onclick=alert(1)"}, "source": [SCRIPT],
    }  # fmt: skip
    named = ds.assign_coords(phase=[SCRIPT, r"$\frac{"]) if "phase" in ds.coords else ds
    for name in named.data_vars:
        named[name].attrs["units"] = SCRIPT
        named[name].attrs["long_name"] = SCRIPT
    return named.assign_attrs(attrs)


@pytest.mark.parametrize("width", [400, 1400])
def test_a_page_loads_and_fits(address: str, full: Path, width: int) -> None:
    seen = browser.look(address, full, width)
    assert seen.requests == []
    assert seen.console == []
    assert seen.page["images"], "there are no pictures"
    assert all(complete and wide > 100 for complete, wide in seen.page["images"])
    assert seen.page["tall"]
    assert seen.page["wide"] <= width, "the page has to be moved sideways"
    assert seen.page["anchors"] == 0, "links of the table of contents lead nowhere"
    assert "What needs attention" in seen.page["text"]


def test_texts_of_a_store_are_texts(address: str, tmp_path: Path) -> None:
    root = tmp_path / "a<b>.zarr"
    for name in ("xrdct/25um/references", "powder/Zn13X"):
        store.save(hostile(stores.NODES[name]()), root, name)
    page = report.write(root)
    seen = browser.look(address, page, 1400)
    assert seen.page["scripts"] == 0
    assert seen.page["handlers"] == 0
    assert seen.requests == []
    assert seen.console == []
    assert seen.page["title"] == "a<b>.zarr - report"
    assert SCRIPT in seen.page["text"]


def test_even_what_was_not_escaped_could_do_nothing(
    address: str, full: Path, tmp_path: Path
) -> None:
    text = full.read_text(encoding="utf-8")
    broken = tmp_path / "broken.html"
    broken.write_text(text.replace("</main>", SCRIPT + "</main>"), encoding="utf-8")
    seen = browser.look(address, broken, 1400)
    assert seen.page["title"] == "a.zarr - report"
    assert any("Content Security Policy" in line for line in seen.console)


def test_the_page_holds_what_it_shows(full: Path) -> None:
    text = full.read_text(encoding="utf-8")
    assert len(text) < 5e6
    for address in re.findall(r"(?:src|href)\s*=\s*\"?([^\"\s>]+)", text):
        assert address.startswith(("data:", "#", "https://doi.org/10."))
    pictures = re.findall(r"data:(image/[a-z+]+);base64,([A-Za-z0-9+/=]+)", text)
    assert {mime for mime, _ in pictures} == {"image/png", "image/svg+xml"}
    for mime, content in pictures:
        head = base64.b64decode(content)[:200]
        assert head.startswith(b"\x89PNG") if mime == "image/png" else b"<?xml" in head
