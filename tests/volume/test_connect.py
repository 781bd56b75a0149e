"""Registrations in a store become one frame: as of the same pairs by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.placed import volume
from tests.registered import answer, similarity
from zeoarray import pipeline, schema, store
from zeoarray.errors import ArgumentError, RegistrationError, SchemaError
from zeoarray.step import find
from zeoarray.volume import connect, solve_network

PLACES = {
    "coarse": np.eye(4),
    "middle": similarity((0.0, 0.0, 3.0), (4.0, -2.0, 1.5), 1.002),
    "fine": similarity((-0.2, 0.1, -4.0), (-1.0, 2.5, 1.0), 0.997),
}
LOOP = (("middle", "coarse"), ("fine", "middle"), ("fine", "coarse"))


PAIRS = {
    (moving, fixed): answer(np.linalg.inv(PLACES[fixed]) @ PLACES[moving], seed)
    for seed, (moving, fixed) in enumerate(LOOP)
}

YAML = """
zeoarray: 1
store: {store}
stages:
  - measure: volume.connect
    from: registration/a
    into: registration/all
    with:
      scans: [[middle, coarse], [fine, middle], [fine, coarse]]
      reference: coarse
      pair2: registration/b
      pair3: registration/c
  - measure: volume.grid
    from: xct/coarse/volume/bin1
    into: grid/main
  - from: grid/main
    into: resampled/fine
    steps:
      - volume.resample:
          volume: xct/fine/volume/bin1
          registration: registration/all
          scan: fine
"""


def test_a_pipeline_brings_scans_into_one_frame(tmp_path: Path) -> None:
    root, path = tmp_path / "a.zarr", tmp_path / "p.yaml"
    for name, one in zip("abc", PAIRS.values(), strict=True):
        store.save(one, root, f"registration/{name}")
    for name in ("coarse", "fine"):
        store.save(volume((8, 12, 10), 1.0), root, f"xct/{name}/volume/bin1")
    path.write_text(YAML.format(store=root), encoding="utf-8")
    read = pipeline.read(path)
    # The whole is checked before anything has run, by what the measure is like to give.
    assert [row.node for row in pipeline.plan(read).rows][-1] == "resampled/fine"
    assert pipeline.run(read) == ["registration/all", "grid/main", "resampled/fine"]
    made = store.open_node(root, "registration/all", chunked=False).load()
    schema.validate(made, schema.NETWORK, by="test")
    alone = solve_network(PAIRS, reference="coarse")
    for name in alone.variables:
        np.testing.assert_array_equal(made[name], alone[name])
    for name, truth in PLACES.items():
        np.testing.assert_allclose(made.sel(scan=name).to_sample, truth, atol=0.2)
    assert int(made["loop_degrees"]) == 7
    assert made.attrs["made_of"].keys() == {f"registration/{n}" for n in "abc"}
    assert made.attrs["steps"][-1]["parameters"]["reference"] == "coarse"
    assert store.open_node(root, "resampled/fine")["valid"].any()
    assert pipeline.run(read) == []


def test_what_is_expected_is_like_what_comes() -> None:
    first, *others = PAIRS.values()
    pairs = {f"pair{n}": p for n, p in enumerate(others, start=2)}
    expects: Any = find("volume.connect").expects
    told = expects(first, scans=LOOP, reference="coarse", **pairs)
    came = connect(first, scans=LOOP, reference="coarse", **pairs)
    assert set(told.variables) == set(came.variables)
    for name, variable in came.variables.items():
        assert (told[name].dims, told[name].shape) == (variable.dims, variable.shape)
        assert told[name].attrs == variable.attrs
        assert told[name].dtype.kind == variable.dtype.kind
    np.testing.assert_array_equal(told["pair"], came["pair"])


def test_names_are_as_many_as_registrations_and_each_once() -> None:
    first, second, _ = PAIRS.values()
    with pytest.raises(ArgumentError, match="the names of its two scans") as caught:
        connect(first, scans=LOOP, reference="coarse", pair2=second)
    assert "2 registrations, 3 pairs of names" in str(caught.value)
    with pytest.raises(ArgumentError, match="two registrations are of one pair") as twice:
        connect(first, scans=[LOOP[0]] * 2, reference="coarse", pair2=second)
    assert "middle on coarse" in str(twice.value)
    with pytest.raises(ArgumentError, match=r"'scans\.0'"):
        connect(first, scans=["middle"], reference="coarse")


def test_what_the_network_refuses_is_refused_here() -> None:
    first = PAIRS[LOOP[0]]
    with pytest.raises(ArgumentError, match="no registration has the reference"):
        connect(first, scans=LOOP[:1], reference="diad")
    with pytest.raises(RegistrationError, match="not trusted"):
        connect(first.assign(trusted=False), scans=LOOP[:1], reference="coarse")
    with pytest.raises(SchemaError, match="to_fixed"):
        connect(first.drop_vars("to_fixed"), scans=LOOP[:1], reference="coarse")


def test_a_wrong_reference_is_found_before_the_run(tmp_path: Path) -> None:
    root, path = tmp_path / "a.zarr", tmp_path / "p.yaml"
    for name, one in zip("abc", PAIRS.values(), strict=True):
        store.save(one, root, f"registration/{name}")
    for name in ("coarse", "fine"):
        store.save(volume((8, 12, 10), 1.0), root, f"xct/{name}/volume/bin1")
    path.write_text(YAML.format(store=root).replace("reference: coarse", "reference: diad"),
                    encoding="utf-8")  # fmt: skip
    with pytest.raises(Exception, match="no registration has the reference 'diad'"):
        pipeline.plan(pipeline.read(path))
