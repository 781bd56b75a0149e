"""Lens distortion: known points come back straight, and a part is corrected as the whole is."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from zeoarray.errors import ArgumentError
from zeoarray.kernels import distortion
from zeoarray.kernels.contract import contract_of
from zeoarray.twin.lens import undistort

PAPER = (
    0.9996340745552107,
    5.593942960200652e-07,
    9.335426689340698e-10,
    9.742488482303165e-13,
    -3.1376393960203227e-16,
)
STRONG = (0.93, 1e-4, 1.2e-5)
ROWS, COLUMNS = 97, 131
CENTER = (51.3, 60.8)
LENS: dict[str, Any] = {"polynomial": STRONG, "center": CENTER, "detector": (ROWS, COLUMNS)}


def straight(image: Any, **lens: Any) -> Any:
    rows, columns = (np.arange(n) for n in image.shape[-2:])
    return distortion.unwarp(image, rows, columns, **lens)


@pytest.mark.parametrize("interpolation", ["linear", "cubic"])
def test_points_that_a_lens_moved_come_back(interpolation: Any) -> None:
    y, x = np.meshgrid(np.arange(12, 90, 15.0), np.arange(11, 125, 17.0), indexing="ij")
    # Where the corrected image has them, by an inverse that another module found by Newton.
    true_x, true_y = undistort(x, y, CENTER[::-1], STRONG)
    assert np.hypot(true_x - x, true_y - y).max() > 1.5
    j, i = np.mgrid[:ROWS, :COLUMNS]
    for a, b, c, d in zip(y.flat, x.flat, true_y.flat, true_x.flat, strict=True):
        raw = np.exp(-((j - a) ** 2 + (i - b) ** 2) / (2 * 2.0**2))
        out = straight(raw, interpolation=interpolation, **LENS)
        near = np.hypot(j - c, i - d) < 9
        weight = out * near
        found = (weight * j).sum() / weight.sum(), (weight * i).sum() / weight.sum()
        np.testing.assert_allclose(found, (c, d), atol=0.05)


def test_cubic_interpolation_is_nearer_to_the_truth() -> None:
    j, i = np.mgrid[:ROWS, :COLUMNS]
    lens = np.polynomial.Polynomial(STRONG)(np.hypot(j - CENTER[0], i - CENTER[1]))
    y, x = CENTER[0] + lens * (j - CENTER[0]), CENTER[1] + lens * (i - CENTER[1])
    raw = np.sin(j * 0.8) * np.cos(i * 0.7)
    inside = (y > 2) & (y < ROWS - 3) & (x > 2) & (x < COLUMNS - 3)
    error = {
        way: np.abs(straight(raw, interpolation=way, **LENS) - np.sin(y * 0.8) * np.cos(x * 0.7))
        for way in ("linear", "cubic")
    }
    assert error["linear"][inside].max() < 0.2
    assert error["cubic"][inside].max() < 0.05


@pytest.mark.parametrize("shape", [(97, 131), (64, 100), (1, 7)])
def test_the_published_correction(shape: tuple[int, int]) -> None:
    algotom = pytest.importorskip("algotom.prep.correction", reason="algotom is not installed")
    image = np.random.default_rng(1).random(shape).astype("float32")
    center = ((shape[0] - 1) * 0.6, (shape[1] - 1) * 0.4)
    out = straight(image, polynomial=STRONG, center=center, detector=shape)
    theirs = algotom.unwarp_projection(image, center[1], center[0], STRONG)
    np.testing.assert_allclose(out, theirs, atol=3e-5)


def test_rows_of_the_paper_lens_move_by_nine_at_most() -> None:
    lens = {"polynomial": PAPER, "center": (1328.205, 1192.643), "detector": (2160, 2560)}
    corner = np.hypot(1328.205, 1367 - 0.643)
    polynomial = np.polynomial.Polynomial(PAPER)
    assert distortion.displacement(*lens.values()) >= abs(polynomial(corner) - 1) * 1328.205 - 1e-6
    overlap = contract_of(distortion.unwarp).overlap
    assert overlap({**lens, "interpolation": "linear"}) == {"z": 10}
    assert overlap({**lens, "interpolation": "cubic"}) == {"z": 11}
    assert overlap({**lens, "polynomial": (1.0,), "interpolation": "linear"}) == {"z": 1}


@pytest.mark.parametrize("interpolation", ["linear", "cubic"])
def test_a_block_with_its_halo_is_bitwise_the_whole(interpolation: Any) -> None:
    image = np.random.default_rng(2).random((3, ROWS, COLUMNS)).astype("float32")
    whole = straight(image, interpolation=interpolation, **LENS)
    given: dict[str, Any] = {**LENS, "interpolation": interpolation}
    margin = contract_of(distortion.unwarp).overlap(given)["z"]
    assert margin > 2
    rows = np.arange(ROWS)
    for first in range(0, ROWS, 7):
        last = min(first + 7, ROWS)
        start, stop = max(first - margin, 0), min(last + margin, ROWS)
        block = distortion.unwarp(
            image[:, start:stop], rows[start:stop], np.arange(COLUMNS), **given
        )
        np.testing.assert_array_equal(block[:, first - start : last - start], whole[:, first:last])


@pytest.mark.parametrize("dtype", ["float32", "float64", "uint16"])
@pytest.mark.parametrize("interpolation", ["linear", "cubic"])
def test_the_plain_body_does_what_the_compiled_does(dtype: str, interpolation: Any) -> None:
    image = (1000 * np.random.default_rng(3).random((2, 31, 23))).astype(dtype)
    given: dict[str, Any] = {"polynomial": STRONG, "center": (11.0, 9.5), "detector": (40, 40)}
    out = distortion.unwarp(
        image, np.arange(31) + 4, np.arange(23) + 2, interpolation=interpolation, **given
    )
    plain = distortion.plainly(image, np.array(STRONG), (11.0, 9.5), (4, 2), interpolation)
    assert plain.dtype == out.dtype
    np.testing.assert_allclose(out, plain, atol=2e-3)


def test_no_distortion_changes_nothing() -> None:
    image = np.random.default_rng(4).random((7, 11)).astype("float32")
    for interpolation in ("linear", "cubic"):
        given: dict[str, Any] = {"polynomial": (1.0,), "center": (3.0, 5.0), "detector": (7, 11)}
        np.testing.assert_array_equal(straight(image, interpolation=interpolation, **given), image)


def test_a_value_that_is_not_finite_stays_near() -> None:
    image = np.ones((ROWS, COLUMNS), "float32")
    image[40, 70] = np.nan
    out = straight(image, **LENS)
    assert 1 <= np.isnan(out).sum() <= 9
    j, i = np.argwhere(np.isnan(out)).T
    assert (abs(j - 40) <= 2).all()
    assert (abs(i - 70) <= 2).all()


def test_flags() -> None:
    flags = np.ones((ROWS, COLUMNS), bool)
    flags[40, 70] = False
    values = np.where(flags, 1.0, np.nan)
    out = distortion.unwarp_flags(flags, np.arange(ROWS), np.arange(COLUMNS), **LENS)
    np.testing.assert_array_equal(out, np.isfinite(straight(values, **LENS)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"center": (98.0, 60.0)}, r"outside the detector(.|\n)*center_from_top=98"),
        ({"center": (np.nan, 60.0)}, "outside the detector"),
        ({"polynomial": ()}, "cannot be used"),
        ({"polynomial": (1.0, np.nan)}, "cannot be used"),
        ({"polynomial": (1.0, -0.02)}, r"folds the image(.|\n)*k0 first"),
        ({"detector": (96, 131)}, "rows of the image are not those of the detector"),
        ({"detector": (0, 131)}, "has rows and columns"),
        ({"interpolation": "nearest"}, "linear or cubic"),
    ],
)
def test_errors(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError) as info:
        straight(np.ones((ROWS, COLUMNS)), **(LENS | change))
    assert re.search(message, str(info.value))
