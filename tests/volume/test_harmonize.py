"""Grey levels mapped onto another scan's: a known function is found again, no other accepted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from tests.jointly import mapping, materials, registration, turn
from tests.placed import UM, volume
from zeoarray import pipeline, store
from zeoarray.errors import ArgumentError, RegistrationError, SchemaError, SourceError
from zeoarray.volume import apply_mapping, harmonize

Array = np.ndarray[Any, Any]
LEVELS = np.array([0.1, 1.0, 1.8])


def curved(v: Array) -> Array:
    return np.asarray(0.3 + 1.5 * v - 0.25 * v**2)


def seen(
    function: Callable[[Array], Array], noise: float = 0.05, units: str = "1/cm", seed: int = 7
) -> xr.Dataset:
    """The same materials with other grey levels, and noise of their own."""
    of = materials(noise=0.0)
    values = function(of["attenuation"].values)
    values = values + noise * np.random.default_rng(seed).normal(size=values.shape)
    return of.assign(attenuation=(tuple("zyx"), values.astype("float32"), {"units": units}))


@pytest.mark.parametrize("match", ["overlap", "peaks"])
@pytest.mark.parametrize("function", [lambda v: 2 * v - 1, curved], ids=["a line", "a curve"])
def test_a_known_mapping_is_found_through_noise(match: Any, function: Any) -> None:
    of, there = materials(), seen(function)
    found = harmonize(of, fixed=there, match=match, voxel=2.0)
    mapped = apply_mapping(of, mapping=found)["attenuation"].values
    which = np.rint(materials(noise=0.0)["attenuation"].values)
    for i, level in enumerate(LEVELS):
        inside = which == np.rint(level)
        # Voxels of one material are in the mean what that material is in the other.
        assert mapped[inside].mean() == pytest.approx(function(level), abs=0.03), f"material {i}"
    assert (np.diff(found["knot_from"]) > 0).all()
    assert (np.diff(found["knot_to"]) >= 0).all()
    assert float(found["rank_correlation"]) > 0.8
    before = np.sqrt(np.mean((of["attenuation"] - there["attenuation"]) ** 2))
    assert float(found["residual_rms"]) < 0.6 * float(before)


def test_the_error_is_told_from_parts() -> None:
    values, sigmas = [], []
    at = np.array([0.1, 1.0, 1.8])
    for seed in range(6):
        found = harmonize(materials(seed=seed), fixed=seen(curved, seed=seed + 50), match="peaks",
                          voxel=2.0)  # fmt: skip
        values.append(found["knot_to"].values[1:-1])
        sigmas.append(found["knot_sigma"].values[1:-1])
    # It is the scatter of what other noise gives: told by 6 to about a third.
    ratio = np.median(sigmas) / np.median(np.std(values, axis=0, ddof=1))
    assert 0.3 < ratio < 3, ratio
    np.testing.assert_allclose(np.mean(values, axis=0), curved(at), atol=0.02)


def test_through_a_registration_and_other_voxels() -> None:
    """A ramp is the same at any voxel and turn, where it is known in closed form."""

    def ramp(shape: tuple[int, int, int], voxel: float, matrix: Array) -> xr.Dataset:
        of = volume(shape, voxel)
        z, y, x = np.meshgrid(*(of[d] for d in "zyx"), indexing="ij")
        there = np.stack([x, y, z, 0 * z + 1], -1) @ matrix.T
        values = 10 + 0.05 * there[..., 0] + 0.03 * there[..., 2]
        return of.assign(attenuation=(tuple("zyx"), values.astype("float32"), {"units": "1/cm"}))

    matrix = turn(8.0, (4.0, -3.0, 2.0))
    moving, fixed = ramp((30, 40, 40), 1.0, matrix), ramp((20, 24, 24), 2.0, np.eye(4))
    values = curved(fixed["attenuation"].values / 10).astype("float32")
    fixed = fixed.assign(attenuation=(tuple("zyx"), values, {"units": "1"}))
    found = harmonize(moving, fixed=fixed, registration=registration(matrix), least_overlap=100)
    mapped = apply_mapping(moving, mapping=found)["attenuation"]
    wanted = curved(moving["attenuation"].values / 10)
    inner = wanted[8:-8, 8:-8, 8:-8]
    np.testing.assert_allclose(mapped[8:-8, 8:-8, 8:-8], inner, atol=0.01)
    assert mapped.attrs["units"] == "1"
    # Of a network, in whose frame neither of both lies.
    frame = turn(-5.0, (1.0, 2.0, -3.0))
    several = xr.Dataset(
        {"to_sample": (("scan", "to", "from"), np.stack([frame @ matrix, frame]), UM)},
        {"scan": ["fine", "coarse"]},
    )
    again = harmonize(moving, fixed=fixed, registration=several, scan="fine", fixed_scan="coarse",
                      least_overlap=100)  # fmt: skip
    np.testing.assert_allclose(again["knot_to"], found["knot_to"], atol=1e-4)
    assert found["knot_from"].attrs["units"] == "1/cm"


def test_beyond_its_knots_a_mapping_goes_on() -> None:
    of = materials()
    found = harmonize(of, fixed=seen(lambda v: 2 * v - 1), voxel=2.0)
    far = of.assign(attenuation=of["attenuation"] * 0 + np.float32(30))
    out = apply_mapping(far, mapping=found)["attenuation"]
    assert float(out[0, 0, 0]) == pytest.approx(59, rel=0.1)
    gone = of.assign(attenuation=of["attenuation"] * np.float32(np.nan))
    assert apply_mapping(gone, mapping=found)["attenuation"].isnull().all()


YAML = """
zeoarray: 1
store: {store}
stages:
  - measure: volume.harmonize
    from: xct/a/volume/bin1
    into: mapping/a
    with: {{fixed: xct/b/volume/bin1, voxel: 2.0}}
  - from: xct/a/volume/bin1
    into: xct/a/harmonized/bin1
    steps:
      - volume.apply_mapping: {{mapping: mapping/a}}
"""


def test_a_pipeline_keeps_the_mapping(tmp_path: Path) -> None:
    of, there = materials(), seen(curved)
    root, path = tmp_path / "a.zarr", tmp_path / "p.yaml"
    store.save(of, root, "xct/a/volume/bin1")
    store.save(there, root, "xct/b/volume/bin1")
    path.write_text(YAML.format(store=root), encoding="utf-8")
    read = pipeline.read(path)
    assert pipeline.plan(read).rows[-1].known
    pipeline.run(read)
    kept = store.open_node(root, "mapping/a").load()
    made = store.open_node(root, "xct/a/harmonized/bin1").load()
    np.testing.assert_allclose(
        made["attenuation"], apply_mapping(of, mapping=kept)["attenuation"], rtol=1e-6
    )


# --- what is refused ----------------------------------------------------------------------------
@pytest.mark.parametrize(
    "function",
    [lambda v: -v, lambda v: np.abs(v - 1.0), lambda v: v * (1.9 - v)],
    ids=["inverted", "folded", "tent"],
)
def test_relations_that_are_not_monotone(function: Any) -> None:
    with pytest.raises(RegistrationError, match="in no monotone relation"):
        harmonize(materials(), fixed=seen(function), voxel=2.0)


def test_volumes_without_a_relation() -> None:
    with pytest.raises(RegistrationError, match="rank correlation"):
        harmonize(materials(), fixed=volume((16, 40, 40)), voxel=2.0)


def test_an_overlap_that_is_too_small() -> None:
    of, there = materials(), seen(curved)
    moved = of.assign_coords(z=("z", of["z"].values + 28, UM))
    with pytest.raises(RegistrationError, match=r"too little in common[\s\S]*at least 2000"):
        harmonize(moved, fixed=there)
    far = of.assign_coords(z=("z", of["z"].values + 500, UM))
    with pytest.raises(ArgumentError, match="nothing in common"):
        harmonize(far, fixed=there)
    empty = there.assign(attenuation=there["attenuation"] * np.float32(np.nan))
    with pytest.raises(RegistrationError, match="0 voxels that both cover, with values"):
        harmonize(of, fixed=empty)


def test_volumes_without_contrast() -> None:
    flat = materials()
    flat["attenuation"] = flat["attenuation"] * 0 + np.float32(2)
    with pytest.raises(SourceError, match="the fixed volume is constant"):
        harmonize(materials(), fixed=flat, voxel=2.0)


def test_histograms_with_other_peaks() -> None:
    steep = seen(lambda v: np.where(v > 0.5, 1.0 + 1e-3 * v, v))
    with pytest.raises(RegistrationError, match="have not the same peaks"):
        harmonize(materials(), fixed=steep, match="peaks", voxel=2.0)


def test_which_variable_is_asked() -> None:
    of = materials()
    two = of.assign(density=of["attenuation"])
    with pytest.raises(SchemaError, match="it is not clear which variable is meant"):
        harmonize(two, fixed=of)
    with pytest.raises(SchemaError, match="no such variable"):
        apply_mapping(of, mapping=mapping(0.0, 1.0), variable="density")
    with pytest.raises(SchemaError, match="mapping of grey levels has no 'knot_from'"):
        apply_mapping(of, mapping=of)
    with pytest.raises(ArgumentError, match="which do not ascend"):
        apply_mapping(of, mapping=mapping(1.0, 0.5))
