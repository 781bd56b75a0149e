"""What the page says of a store, against what was put into it."""

from __future__ import annotations

import html
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from click.testing import CliRunner
from PIL import Image
from xarray.backends import BackendArray
from xarray.core import indexing

from tests.report import stores
from zeoarray import plot, report, store
from zeoarray.cli.report import command
from zeoarray.errors import ArgumentError, StoreError
from zeoarray.report import (
    contents,
    diffraction,
    overview,
    page,
    registry,
    sample,
    scans,
    tomograms,
)
from zeoarray.report.blocks import Block, Facts, Note, Picture, Table, picture
from zeoarray.report.contents import Contents, Node
from zeoarray.report.registry import Around
from zeoarray.store import places

NOT_HERE = ("Rings of slices", "Agreement with another reconstruction", "Overlap of a full circle",
            "Detector frames", "Voxels", "Positions of the beam", "Parallax",
            "Phases of rays", "Registration", "Scans in one frame")  # fmt: skip
"""Sections of nodes that the small store has not."""


def text_of(made: Path) -> str:
    """What a reader reads, without marks and pictures."""
    whole = made.read_text(encoding="utf-8")
    bare = re.sub(r"<style>.*?</style>|<img[^>]*>", " ", whole, flags=re.S)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", bare)).split())


def drawn(draw: Any, ds: xr.Dataset, *others: tuple[str, xr.Dataset]) -> list[Block]:
    node = Node("xct/a/node", ds, 0)
    found = Contents(Path("a.zarr"), [node, *(Node(n, d, 0) for n, d in others)])
    return list(draw(node, Around(found)))


def facts(blocks: list[Block]) -> dict[str, str]:
    return {k: v for b in blocks if isinstance(b, Facts) for k, v in b.of.items()}


def warned(blocks: list[Block]) -> str:
    return " ".join(b.text for b in blocks if isinstance(b, Note) and b.kind == "warn")


def test_every_kind_of_node_is_drawn(full: Path) -> None:
    said = text_of(full)
    assert "could not be drawn" not in said
    assert "No picture for" not in said
    for section in registry.SECTIONS:
        assert section.title in said or section.of_truth or section.title in NOT_HERE
    # What is wrong stands at the top, once for each node that says it.
    top = said[said.index("What needs attention", 400) : said.index("What is in the store", 900)]
    for line in (
        "1 flats are not what their key says: 1",
        "offset of these values is not",
        "Stripes are worse after than before at z = 1.25",
        "12 % of the rays",
    ):
        assert line in top


def test_motion_is_that_of_the_last_view() -> None:
    ds, axis = stores.scan(moved=(4.0, 0.0)), ("xct/a/axis", stores.axis())
    blocks = drawn(scans.motion, ds, axis)
    told = facts(blocks)
    assert abs(float(told["shift along z"].split()[0]) - 4.0) < 0.2
    assert abs(float(told["shift along u"].split()[0])) < 0.2
    assert "more than a pixel apart along z" in warned(blocks)
    still = drawn(scans.motion, stores.scan(), axis)
    assert abs(float(facts(still)["shift along z"].split()[0])) < 0.2
    assert not warned(still)


def test_without_an_axis_the_place_of_the_axis_is_no_motion() -> None:
    blocks = drawn(scans.motion, stores.scan())
    twice = float(facts(blocks)["shift along u (twice that of the axis)"].split()[0])
    assert abs(twice + 2 * stores.AXIS) < 0.4
    assert not warned(blocks)


def test_a_scan_without_equal_views_says_so() -> None:
    blocks = drawn(scans.motion, stores.scan().isel(angle=slice(0, 4)))
    assert [b for b in blocks if isinstance(b, Note) and "neither 180° nor 360°" in b.text]


def test_a_turn_later_the_same_view_is_compared() -> None:
    ds = stores.scan()
    turned = ds.isel(angle=[0, 0])
    turned = turned.assign_coords(angle=("angle", [0.0, 360.0], {"units": "deg"}))
    told = facts(drawn(scans.motion, turned))
    assert float(told["rms of the difference"]) == 0


def test_flats_that_change_are_measured() -> None:
    blocks = drawn(scans.flats, stores.scan())
    # The left half became 6 % brighter: about the mean of both, +- 3 % / 1.03.
    pattern = float(facts(blocks)["change of the pattern, rms without noise"].split()[0])
    assert abs(pattern - 100 * 0.03 / 1.03) < 0.1
    assert "pattern of the beam changed by 2.9 %" in warned(blocks)


def test_saturated_pixels_are_told() -> None:
    assert "25 % of the pixels" in warned(drawn(scans.projection, stores.scan(saturated=True)))
    assert not warned(drawn(scans.projection, stores.scan()))


def test_an_axis_that_is_unsure_says_so() -> None:
    assert "unsure" in warned(drawn(tomograms.axis, stores.axis(ambiguous=True)))
    blocks = drawn(tomograms.axis, stores.axis())
    assert not warned(blocks)
    assert facts(blocks)["axis, u in the middle"] == "3.00 ± 0.10 µm"


def test_the_strongest_peak_is_found_and_its_background_taken_away() -> None:
    ds = stores.sinogram()
    valid = ds["valid"].isel(z=0)
    found = diffraction.layer(ds["intensity"].isel(z=0), valid)
    # Both phases have their strongest line there, 0.005 apart, and are there in equal parts.
    assert abs(found.place - 1.6535) < 0.003
    assert np.isnan(found.peak.values[3]).all()
    assert np.isfinite(found.peak.values[np.arange(8) != 3]).all()
    flat = xr.full_like(ds["intensity"], 7.0).isel(z=0)
    np.testing.assert_allclose(diffraction.layer(flat, None).peak, 0, atol=1e-9)
    np.testing.assert_allclose(diffraction.layer(flat, None).total, 7)


def test_lines_are_where_they_were_put() -> None:
    q = np.linspace(1, 2, 500)
    for name, curve in stores.patterns(q).items():
        np.testing.assert_allclose(diffraction.lines(q, curve), stores.LINES[name], atol=0.002)


class Huge(BackendArray):
    """An array that counts what is read of it."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape, self.dtype, self.read, self.largest = shape, np.dtype("f4"), 0, 0

    def __getitem__(self, key: indexing.ExplicitIndexer) -> Any:
        return indexing.explicit_indexing_adapter(
            key, self.shape, indexing.IndexingSupport.BASIC, self._get
        )

    def _get(self, key: tuple[Any, ...]) -> np.ndarray[Any, Any]:
        shape = [len(range(*k.indices(n))) if isinstance(k, slice) else 1
                 for k, n in zip(key, self.shape, strict=True)]  # fmt: skip
        kept = [n for n, k in zip(shape, key, strict=True) if isinstance(k, slice)]
        out = np.zeros(kept, "f4")
        out.ravel()[::7] = 1
        self.read += out.nbytes
        self.largest = max(self.largest, out.nbytes)
        return out


def test_of_a_volume_larger_than_memory_only_planes_are_read() -> None:
    huge = Huge((12_000, 16_000, 16_000))
    ds = xr.Dataset(
        {"attenuation": (("z", "y", "x"), indexing.LazilyIndexedArray(huge))},
        {d: stores.places(d, n) for d, n in zip("zyx", huge.shape, strict=True)},
    )
    assert len([b for b in drawn(tomograms.slices, ds) if isinstance(b, Picture)]) == 4
    assert huge.largest <= sample.HELD
    assert huge.read < 3 * sample.HELD


def test_of_a_large_sinogram_a_part_is_read_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sample, "MOST_READ", 1 << 22)
    monkeypatch.setattr(sample, "HELD", 1 << 20)
    monkeypatch.setattr(sample.strides, "__defaults__", (1 << 20,))
    huge = Huge((20, 500, 4000))
    array = xr.DataArray(
        indexing.LazilyIndexedArray(huge), {"q": ("q", np.linspace(1, 2, 4000))},
        ("angle", "u", "q"),
    )  # fmt: skip
    array = array.assign_coords(angle=np.arange(20), u=np.arange(500))
    diffraction.layer(array, None)
    assert huge.largest <= 1 << 20
    assert huge.read <= (1 << 22) + (1 << 20)


def test_what_fails_stands_in_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(node: Node, around: Around) -> Iterator[Block]:
        yield Facts({"before": "it failed"})
        raise ArgumentError("the hamster <b>sleeps</b>", do="wake it")

    broken = registry.Section("Broken", 1, stores.schema.POWDER.required, fails)
    monkeypatch.setattr(registry, "SECTIONS", [broken, *registry.SECTIONS])
    root = tmp_path / "a.zarr"
    store.save(stores.powder(), root, "powder/Zn13X")
    made = report.write(root)
    said = text_of(made)
    assert "This could not be drawn. the hamster <b>sleeps</b>" in said
    assert "do: wake it" in said
    assert "it failed" in said
    assert "Powder pattern on a scale" in said
    assert 'class="failure"' in made.read_text(encoding="utf-8")


def test_an_empty_store_and_none(tmp_path: Path) -> None:
    root = tmp_path / "a.zarr"
    root.mkdir()
    (root / "zarr.json").write_text('{"zarr_format": 3, "node_type": "group"}', encoding="utf-8")
    assert "There is nothing in this store yet" in text_of(report.write(root))
    with pytest.raises(StoreError, match="is not a zarr store") as caught:
        report.write(tmp_path / "b.zarr")
    assert "zeoarray ingest" in str(caught.value)


def test_raw_scans_alone(tmp_path: Path) -> None:
    root = tmp_path / "a.zarr"
    store.save(stores.scan(), root, "xct/i13/scan")
    said = text_of(report.write(root))
    assert "could not be drawn" not in said
    assert "Projection scan" in said
    assert "as no axis was measured" in said
    assert "No pipeline was run into this store" in said


def test_an_unfinished_node_is_named_and_not_drawn(tmp_path: Path) -> None:
    root = tmp_path / "a.zarr"
    store.save(stores.powder(), root, "powder/Zn13X")

    def stops(ds: xr.Dataset) -> xr.Dataset:
        lazy = ds.chunk(z=1)

        def block(values: Any) -> Any:
            raise InterruptedError("the machine went away")

        return lazy.assign(attenuation=lazy["attenuation"].copy(
            data=lazy["attenuation"].data.map_blocks(block, dtype="f4")))  # fmt: skip

    with pytest.raises(InterruptedError):
        store.save(stops(stores.volume()), root, "xct/i13/volume/bin1")
    made = report.write(root)
    said = text_of(made)
    assert "xct/i13/volume/bin1 : unfinished: 0 of" in said
    assert "run the same command to go on. It is not drawn" in said
    assert "Slices" not in said


def test_a_node_with_a_bad_name_or_damaged_metadata_is_told(tmp_path: Path) -> None:
    root = tmp_path / "a.zarr"
    store.save(stores.powder(), root, "powder/Zn13X")
    store.save(stores.volume(), root, "xct/i13/volume/bin1")
    (root / "powder/Zn13X").rename(root / "powder/<script>alert(1)<")
    (root / "xct/i13/volume/bin1/y/zarr.json").write_text('{"node_type": "array"}', "utf-8")
    made = report.write(root)
    said = text_of(made)
    assert "powder/<script>alert(1)< : cannot be opened" in said
    assert "xct/i13/volume/bin1 : cannot be opened" in said
    assert "<script" not in made.read_text(encoding="utf-8")


def test_provenance_citations_and_runs_are_told(tmp_path: Path) -> None:
    root = tmp_path / "a.zarr"
    steps = [{
        "step": "xct.remove_rings", "version": 3, "parameters": {"snr": 4.5, "axis": {"node": "b"}},
        "cites": ["10.1364/OE.26.028396"],
    }]  # fmt: skip
    store.save(stores.volume().assign_attrs(steps=steps, notes=["one thing"]), root, "xct/a/v/b")
    lines = [
        {"time": "T1", "what": "begin", "pipeline": "my.yaml", "host": "here"},
        {"time": "T2", "what": "made", "node": "xct/a/v/b", "seconds": 2.0},
    ]
    log = places.beside(root) / "log.jsonl"
    log.write_text("\n".join([*map(json.dumps, lines), '{"torn']), encoding="utf-8")
    made = report.write(root)
    said = text_of(made)
    assert "xct.remove_rings 3 snr = 4.5 axis = node b" in said
    assert "one thing" in said
    assert 'href="https://doi.org/10.1364/OE.26.028396"' in made.read_text(encoding="utf-8")
    assert "T1: my.yaml on here did not come to its end" in said
    size = contents.read(root).nodes[0].nbytes
    assert f"2 s {overview.format_bytes(size)} {overview.format_bytes(size / 2)}/s" in said
    assert "1 line(s) of the run log cannot be read" in said


def test_the_command_writes_beside_the_store_and_opens_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "a.zarr"
    store.save(stores.powder(), root, "powder/Zn13X")
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", lambda url: bool(opened.append(url)))
    done = CliRunner().invoke(command, [str(root), "--open"], catch_exceptions=False)
    assert (tmp_path / "a.zarr.report.html").is_file()
    assert opened == [(tmp_path / "a.zarr.report.html").as_uri()]
    assert "no browser could be started" in done.output
    with pytest.raises(StoreError, match="cannot be written") as caught:
        report.write(root, tmp_path / "no" / "r.html")
    assert "-o FILE" in str(caught.value)
    with pytest.raises(ArgumentError, match="holds no truth") as refused:
        report.write(root, truth_from=tmp_path)
    assert "leave --truth out" in str(refused.value)


def test_pages_of_many_pictures_stay_small(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    noise = xr.DataArray(rng.normal(size=(300, 300)).astype("f4"), dims=("y", "x"), name="noise")
    one = picture(plot.image(noise), "noise")
    many = [Picture(one.caption, one.alt, one.mime, one.content) for _ in range(4)]
    monkeypatch.setattr(page, "MOST_BYTES", 2 * len(one.content))
    assert sum(len(p.content) for p in many) > page.MOST_BYTES
    page._fit(many)
    assert sum(len(p.content) for p in many) * 4 / 3 <= page.MOST_BYTES
    # Though the page be too large: what cannot be read is of no use.
    monkeypatch.setattr(page, "MOST_BYTES", 100)
    page._fit(many)
    with (
        Image.open(io.BytesIO(one.content)) as drawn,
        Image.open(io.BytesIO(many[0].content)) as left,
    ):
        assert left.width == pytest.approx(page.SMALLEST * drawn.width, abs=1)


def test_the_examples_of_the_page_on_reports_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(registry, "SECTIONS", [*registry.SECTIONS])
    store.save(stores.axis(), "zn13x.zarr", "xct/i13-2.6um/axis")
    noisy = stores.volume().assign(noise=("z", np.full(6, 0.25), {"units": "1/cm"}))
    store.save(noisy, "zn13x.zarr", "xct/i13-2.6um/volume/bin1")
    text = (Path(__file__).parents[2] / "docs/how_to/report.md").read_text(encoding="utf-8")
    examples = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert len(examples) == 2
    for example in examples:
        exec(example, {})  # noqa: S102  each is what a reader would paste by itself
    assert {p.name for p in tmp_path.glob("*.png")} == {"axis.png", "slice.png"}
    said = text_of(tmp_path / "zn13x.zarr.report.html")
    assert "How noisy" not in said
    assert "Noise of slices over height." in said
    assert "0.25 1/cm" in said


def test_tables_have_as_many_cells_as_columns(full: Path) -> None:
    found = contents.read(full.with_name("a.zarr"))
    for node in found.nodes:
        if node.group.startswith("xrdct"):
            for section in registry.fitting(node, Around(found)):
                if section.title in ("Isolation", "Peak maps"):
                    for b in section.draw(node, Around(found)):
                        if isinstance(b, Table):
                            assert {len(r) for r in b.rows} == {len(b.columns)}
