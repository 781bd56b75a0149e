"""The page of a registration: which volumes, how far off, and whether that is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from xarray.core import indexing

from tests.registered import Balls, scan, similarity
from tests.report import stores
from tests.report.test_report import Huge, drawn, facts, text_of, warned
from zeoarray import plot, report, schema, store
from zeoarray.errors import ArgumentError, SchemaError
from zeoarray.kernels import transform
from zeoarray.report import registration as sections
from zeoarray.report import sample
from zeoarray.report.blocks import Block, Note, Picture, Table
from zeoarray.report.contents import Contents, Node
from zeoarray.report.registry import Around
from zeoarray.volume import register, solve_network

pytest.importorskip("matplotlib")

BALLS = Balls.draw(1, count=300, width=230.0)
TRUTH = similarity((0.0, 0.0, 3.0), (12.0, -8.0, 5.0), 1.002)
FIXED, MOVING = "xct/a/volume/bin1", "xct/b/volume/bin1"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("registered") / "a.zarr"
    shape = (30, 36, 36)
    store.save(scan(BALLS, shape, 5.0, noise=0.02, seed=1), root, FIXED)
    store.save(scan(BALLS, shape, 5.0, TRUTH, noise=0.02, seed=2), root, MOVING)
    fixed, moving = (store.open_node(root, n, chunked=False) for n in (FIXED, MOVING))
    found = register(moving, fixed=fixed, model="similarity", turn_deg=6.0, blocks=32, accept=True)
    assert (found.attrs["moving"], found.attrs["fixed"]) == (MOVING, FIXED)
    store.save(found, root, "registration/b")
    return root


@pytest.fixture(scope="module")
def found(made: Path) -> xr.Dataset:
    return store.open_node(made, "registration/b", chunked=False).load()


def with_volumes(made: Path, ds: xr.Dataset) -> list[Block]:
    nodes = [Node(n, store.open_node(made, n, chunked=False), 0) for n in (FIXED, MOVING)]
    node = Node("registration/b", ds, 0)
    return list(sections.registration(node, Around(Contents(made, [node, *nodes]))))


def rows(blocks: list[Block], of: str) -> dict[str, str]:
    return {
        r[0]: r[1] for b in blocks if isinstance(b, Table) and b.columns[0] == of for r in b.rows
    }


def test_the_page_shows_both_volumes_and_the_map(made: Path, found: xr.Dataset) -> None:
    said = text_of(report.write(made))
    assert "could not be drawn" not in said
    blocks = with_volumes(made, found)
    captions = " ".join(b.caption for b in blocks if isinstance(b, Picture))
    for of in ("in squares by turns", "less the moving one", "block is off yet", "Fourier shell"):
        assert of in captions
    told = rows(blocks, "parameter")
    turn, sigma = (float(told["turn z"].split()[i]) for i in (0, 2))
    assert abs(turn - 3.0) < 5 * sigma
    assert abs(float(told["scale"].split()[0]) - 1.002) < 5 * float(told["scale"].split()[2])
    # The shift is that of the point which comes to lie where errors are counted from.
    there = transform.move(np.linalg.inv(TRUTH), found["about"].values[None])[0]
    for i, axis in enumerate("xyz"):
        value, sigma = (float(told[f"shift {axis}"].split()[j]) for j in (0, 2))
        assert abs(value - (found["about"].values[i] - there[i])) < 5 * sigma
    assert facts(blocks)["model"] == "similarity"
    assert "true size of the moving pixels" in facts(blocks)


def test_the_difference_is_small_where_the_map_is_right(made: Path, found: xr.Dataset) -> None:
    """What is drawn is the moving volume where the map puts it, not where it was."""
    spread = []
    for to_fixed in (TRUTH, np.eye(4)):
        pair = sections.Pair(*(
            sections.Level(store.open_node(made, n, chunked=False)["attenuation"])
            for n in (FIXED, MOVING)
        ))  # fmt: skip
        back = np.linalg.inv(to_fixed)
        seen = sections.refine.seen_box(pair, back)
        fixed, moving = sections._planes(pair, back, "z", seen)
        np.testing.assert_allclose(np.diff(fixed["x"]), 5.0)
        spread.append(float(sections._apart(fixed, moving).std()))
    assert spread[0] < 0.06 < 0.15 < spread[1]


def test_what_is_not_trusted_is_told_at_the_top(made: Path, found: xr.Dataset) -> None:
    assert not warned(drawn(sections.registration, found.assign(trusted=True)))
    doubted = found.assign(trusted=False).assign_attrs(reasons=["blocks correlate by 0.1 only"])
    blocks = drawn(sections.registration, doubted)
    assert "not trusted: blocks correlate by 0.1 only" in warned(blocks)
    assert facts(blocks)["trusted"] == "no"
    far = found.copy(deep=True)
    far["to_fixed"][0, 3] += 1e4
    assert "nothing in common" in warned(with_volumes(made, far))


def test_without_the_volumes_the_figures_stand_alone(found: xr.Dataset) -> None:
    blocks = drawn(sections.registration, found)
    assert [b for b in blocks if isinstance(b, Note) and "no picture of both" in b.text]
    assert len([b for b in blocks if isinstance(b, Picture)]) == 2
    bare = drawn(sections.registration, found.isel(frequency=slice(0, 0)))
    assert len([b for b in bare if isinstance(b, Picture)]) == 1
    assert "both show the same down to" not in facts(bare)


def test_of_layers_the_page_says_whether_the_frame_is_shared(found: xr.Dataset) -> None:
    """What `volume.register_layers` says besides; it has no second fit, the other way."""
    more = {"confirmed": 1, "displacement": 2.0, "frame_chi2": 0.7, "frame_correlation": 0.95}
    layers = found.assign({n: ((), v) for n, v in (more | {"round_trip": np.nan}).items()})
    told = facts(drawn(sections.registration, layers))
    assert told["the frame that both share"] == "confirmed"
    assert told["off from it by"] == "2 µm, chi-square 0.7 for each parameter"
    assert "there and back" not in str(drawn(sections.registration, layers))
    assert "there and back" in str(drawn(sections.registration, found))
    off = facts(drawn(sections.registration, layers.assign(confirmed=0)))
    assert off["the frame that both share"] == "not confirmed"


def test_of_volumes_larger_than_memory_little_is_read(found: xr.Dataset) -> None:
    huge = {name: Huge((12_000, 16_000, 16_000)) for name in (FIXED, MOVING)}
    volumes = [
        (name, xr.Dataset(
            {"attenuation": (("z", "y", "x"), indexing.LazilyIndexedArray(one))},
            {d: stores.places(d, n) for d, n in zip("zyx", one.shape, strict=True)},
        ))
        for name, one in huge.items()
    ]  # fmt: skip
    turned = found.assign(to_fixed=(("to", "from"), similarity((0.5, 0, 3.0), (400, -900, 50))))
    blocks = drawn(sections.registration, turned, *volumes)
    assert len([b for b in blocks if isinstance(b, Picture)]) == 6
    for one in huge.values():
        assert one.largest <= sample.HELD
        assert 0 < one.read < 2 * sample.HELD


def test_scans_in_one_frame_are_listed(found: xr.Dataset) -> None:
    blocks = drawn(sections.network, solve_network({("b", "a"): found}, reference="a", accept=True))
    assert set(rows(blocks, "scan")) == {"a", "b"}
    assert set(rows(blocks, "registration")) == {"b on a"}
    assert "there are none" in facts(blocks).values()


def test_pictures_of_anything_else_are_refused(found: xr.Dataset) -> None:
    image: Any = xr.DataArray(np.eye(4), dims=("y", "x"))
    with pytest.raises(ArgumentError, match="two images of one shape"):
        plot.checkerboard(image, image[:3])
    for draw in (plot.residuals, plot.shell_correlation):
        with pytest.raises(SchemaError, match=draw.__name__):
            draw(xr.Dataset())
    with pytest.raises(SchemaError, match="there is no curve"):
        plot.shell_correlation(found.isel(frequency=slice(0, 0)))
    schema.validate(found, schema.REGISTRATION, by="test")


def test_a_checkerboard_is_of_both_by_turns() -> None:
    one = xr.DataArray(np.tile(np.arange(16.0), (16, 1)), dims=("y", "x"))
    drawn_ = plot.checkerboard(one, -one).axes[0].images[0].get_array()
    low, high = np.percentile(one, (0.2, 99.8))
    grey = (one.values - low) / (high - low)
    np.testing.assert_allclose(drawn_[:2, :2], grey[:2, :2], atol=1e-6)
    np.testing.assert_allclose(drawn_[:2, 2:4], 1 - grey[:2, 2:4], atol=1e-6)
    np.testing.assert_allclose(drawn_[2:4, 2:4], grey[2:4, 2:4], atol=1e-6)


def test_arrows_point_where_blocks_are_off(found: xr.Dataset) -> None:
    from matplotlib.quiver import Quiver

    moved = found.copy(deep=True)
    moved["block_residual"][:] = [0.5, 0.0, -0.5]
    figure = plot.residuals(moved)
    above, side = ([c for c in a.collections if isinstance(c, Quiver)] for a in figure.axes)
    assert all(np.allclose(q.U, 0.5) and np.allclose(q.V, 0.0) for q in above)
    assert all(np.allclose(q.U, 0.5) and np.allclose(q.V, -0.5) for q in side)
    figure.canvas.draw()
    assert any("off by 0.5 µm" in t.get_text() for t in figure.axes[1].texts)
