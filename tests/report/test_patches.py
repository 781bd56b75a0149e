"""What the page says of training patches."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import xarray as xr

from tests import placed
from tests.report import stores
from zeoarray import patches
from zeoarray.report import patches as sections
from zeoarray.report.blocks import Block, Facts, Note, Picture, Table
from zeoarray.report.contents import Contents, Node
from zeoarray.report.registry import Around


def nodes(**sources: xr.Dataset) -> Iterator[Node]:
    yield Node("patches/sr/places", stores.places_of_patches(), 0)
    for name, ds in sources.items():
        yield Node(f"patches/sr/{name}", ds, 0)


def drawn(draw: sections.Any, **sources: xr.Dataset) -> list[Block]:
    found = list(nodes(**sources))
    other = Node("patches/other/fine", stores.cut(), 0)
    return list(draw(found[0], Around(Contents(Path("a.zarr"), [*found, other]))))


def facts(blocks: list[Block]) -> dict[str, str]:
    return {k: v for b in blocks if isinstance(b, Facts) for k, v in b.of.items()}


def warned(blocks: list[Block]) -> list[str]:
    return [b.text for b in blocks if isinstance(b, Note) and b.kind == "warn"]


def test_splits_are_mapped_and_counted() -> None:
    blocks = drawn(sections.splits, fine=stores.cut(), coarse=stores.cut(4.0))
    told, places = facts(blocks), stores.places_of_patches()
    for name, count in zip(*np.unique(places["split"].values.astype(str), return_counts=True),
                           strict=True):  # fmt: skip
        assert told[f"patches in {str(name)!r}"] == str(count)
    assert told["buffer between splits (z, y, x)"] == "18 x 18 x 18 µm"
    assert told["sources"] == "fine, coarse"
    assert told["places lost to the buffer"] == f"{100 * float(places['lost']):.3g} %"
    # One colour for each split, a filled box and an outline for each patch.
    (shown,) = (b for b in blocks if isinstance(b, Picture))
    assert shown.mime == "image/svg+xml"
    for colour in sections.COLOURS[:3]:
        assert colour.encode() in shown.content
    assert not warned(blocks)
    assert "No leak in 27 pairs" in " ".join(b.text for b in blocks if isinstance(b, Note))


def test_a_leak_is_told_at_the_top() -> None:
    leaking = stores.cut()
    split = leaking["split"].values.astype(str)
    leaking["split"] = "patch", np.where(np.arange(split.size) % 2, "train", "test")
    (first, *_) = warned(drawn(sections.splits, fine=leaking))
    assert "Splits leak" in first
    assert "'test'" in first
    assert "fine" in first


def test_the_same_patches_are_shown_of_every_source() -> None:
    phases = placed.volume((8, 64, 12)).rename(attenuation="weight").expand_dims(phase=["na", "zn"])
    both = patches.extract(stores.places_of_patches(), volume=phases)
    captions = []
    for name, ds in (("fine", stores.cut()), ("phases", both)):
        node = Node(f"patches/sr/{name}", ds, 0)
        (shown,) = sections.examples(node, Around(Contents(Path("a.zarr"), [node])))
        assert isinstance(shown, Picture)
        captions.append(shown.caption)
    assert captions[0].startswith("fine: 4 x 4 x 4 voxels, voxels of 2 µm. ")
    assert "channel zn of 2" in captions[1]


def test_a_patch_without_a_value_is_told() -> None:
    empty = stores.cut()
    empty["attenuation"] = empty["attenuation"] * np.float32(np.nan)
    node = Node("patches/sr/fine", empty, 0)
    blocks = list(sections.examples(node, Around(Contents(Path("a.zarr"), [node]))))
    assert warned(blocks) == ["patches/sr/fine: a patch holds no finite value."]


def test_what_patches_are_normalised_by() -> None:
    made = patches.statistics(stores.cut())
    node = Node("patches/sr/fine-statistics", made, 0)
    (table,) = sections.statistics(node, Around(Contents(Path("a.zarr"), [node])))
    assert isinstance(table, Table)
    assert table.columns[:3] == ("channel", "mean", "deviation")
    assert table.rows[0][1] == f"{float(made['mean'][0]):.4g}"
