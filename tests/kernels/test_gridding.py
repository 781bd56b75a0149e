"""Levels of motor positions, and frames put on their grid."""

from __future__ import annotations

import numpy as np
import pytest

from zeoarray.errors import ArgumentError
from zeoarray.kernels.gridding import find_grid, place


def snake(rotations=20, steps=12, step=25.0, jitter=0.4, lost=(), backlash=0.0, layers=1):
    """Positions of a snake in the order in which it is run."""
    rng = np.random.default_rng(3)
    out = []
    for z in range(layers):
        for i in range(rotations):
            line = np.arange(steps) * step
            line = line[::-1] + backlash if i % 2 else line
            if i not in lost:
                out += [(60.0 * z, 360 / rotations * i, u + jitter * rng.normal()) for u in line]
    return dict(zip(("z", "angle", "u"), np.array(out).T, strict=True))


def sizes(found):
    return {name: levels.value.size for name, levels in found.items()}


@pytest.mark.parametrize(
    ("changes", "rms"),
    [
        ({"jitter": 0.0}, 0),
        ({}, 0.4),
        ({"jitter": 1.0}, 1.0),
        # It stops elsewhere when it comes from the other side: two clusters are one position.
        ({"backlash": 3.0}, 1.55),
        ({"layers": 3}, 0.4),
        ({"steps": 80, "rotations": 40}, 0.4),
    ],
)
def test_jittered_positions_are_levels(changes, rms):
    given = snake(**changes)
    found = find_grid(given)
    count = {"rotations": 20, "steps": 12, "layers": 1} | changes
    assert sizes(found) == {"z": count["layers"], "angle": count["rotations"], "u": count["steps"]}
    assert found["u"].jitter == pytest.approx(rms, rel=0.1, abs=1e-9)
    assert found["u"].even
    steps = np.diff(found["u"].value)
    np.testing.assert_allclose(steps, steps[0], rtol=1e-9)
    np.testing.assert_allclose(steps, 25, atol=0.1)


def test_the_order_of_frames_does_not_matter():
    given = snake(layers=2, lost=(3,))
    shuffled = np.random.default_rng(1).permutation(given["u"].size)
    one = find_grid(given, complete=("angle",))
    other = find_grid({n: p[shuffled] for n, p in given.items()}, complete=("angle",))
    for name, levels in one.items():
        np.testing.assert_allclose(levels.value, other[name].value, atol=1e-9)
        np.testing.assert_array_equal(levels.index[shuffled], other[name].index)


def test_gaps_of_an_even_spacing_are_levels_without_frames():
    found = find_grid(snake(lost=(7,)), complete=("angle", "u"))
    assert sizes(found)["angle"] == 20
    assert found["angle"].empty == 1
    np.testing.assert_allclose(found["angle"].value, np.arange(20) * 18, atol=1e-9)
    assert sizes(find_grid(snake(lost=(7,))))["angle"] == 19


def test_commanded_positions_stay_exact():
    value = find_grid(snake(jitter=0.0, lost=(4,)), complete=("angle",))["angle"].value
    assert set(np.delete(np.arange(20) * 18.0, 4)) <= set(value.tolist())


def test_irregular_steps_are_kept():
    given = snake(jitter=0.0, step=1.0, steps=9)
    given["u"] = given["u"] ** 2
    found = find_grid(given, complete=("angle", "u"))
    np.testing.assert_allclose(found["u"].value, np.arange(9) ** 2)
    assert not found["u"].even


def test_points_taken_twice_share_a_level():
    given = {n: np.concatenate([p, p]) for n, p in snake().items()}
    assert sizes(find_grid(given)) == {"z": 1, "angle": 20, "u": 12}


def test_a_tolerance_decides_where_it_is_given():
    given = {"u": np.array([0.0, 1.0, 2.0, 10.0]), "angle": np.zeros(4)}
    assert sizes(find_grid(given, tolerance={"u": 1.0}))["u"] == 2
    assert sizes(find_grid(given, tolerance={"u": 0.5}))["u"] == 4
    assert sizes(find_grid(given, tolerance={"u": 0.0}))["u"] == 4
    with pytest.raises(ArgumentError, match="tolerance of u"):
        find_grid(given, tolerance={"u": -1.0})
    with pytest.raises(ArgumentError, match="no frames"):
        find_grid({"u": np.zeros(0)})


def test_frames_are_added_in_their_cells():
    values = np.array([[1.0, 2.0, 4.0, 8.0], [10.0, 20.0, 40.0, 80.0]], "float32")
    out = place(values, np.array([2, 2, -1, 0]), np.array([0.25, 0.75, 1, 1]), shape=(1, 2, 2))
    assert out.dtype == np.float32
    np.testing.assert_array_equal(out[0, 0], [[8, np.nan], [1.75, np.nan]])
    np.testing.assert_array_equal(out[1, 0], [[80, np.nan], [17.5, np.nan]])
    with pytest.raises(ArgumentError, match="outside the grid"):
        place(values, np.array([4, 0, 0, 0]), np.ones(4), shape=(1, 2, 2))
