"""Matrices that are built here, beside pyFAI's of the same geometry."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyFAI.detectors import Detector
from pyFAI.integrator.azimuthal import AzimuthalIntegrator

from tests.diffraction_frames import SHAPE, frames, geometry
from zeoarray.kernels import azimuthal_build, azimuthal_geometry
from zeoarray.kernels.azimuthal import integrate, integration_matrix

Array = np.ndarray[Any, Any]


@pytest.fixture(autouse=True, scope="module")
def _quiet() -> Iterator[None]:
    log = logging.getLogger("pyFAI")
    level = log.level
    log.setLevel(logging.CRITICAL)
    yield
    log.setLevel(level)


def both(integrator: Any, npt: int, **asked: Any) -> tuple[Any, Any]:
    """The matrix as it is built here, and from pyFAI's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(azimuthal_build, "plain", lambda *_: False)
        theirs = integration_matrix(integrator, npt, **asked)
    return integration_matrix(integrator, npt, **asked), theirs


def check_same(mine: Any, theirs: Any) -> None:
    """The same entries, and patterns that are equal to 1e-5."""
    np.testing.assert_allclose(mine.radial, theirs.radial, rtol=1e-9)
    total = theirs.normalization.max()
    np.testing.assert_allclose(mine.normalization, theirs.normalization, atol=1e-5 * total)
    away = abs(mine.sparse(np) - theirs.sparse(np))
    assert away.max() < 1e-4
    data = np.random.default_rng(0).poisson(30, (2, *mine.shape)).astype("int32")
    ours, peers = integrate(data, mine), integrate(data, theirs)
    filled = theirs.normalization > 0.1
    assert filled.any()
    np.testing.assert_allclose(ours[:, filled], peers[:, filled], rtol=1e-5)


tilts = st.floats(-0.5, 0.5)


@settings(max_examples=25, deadline=None)
@given(
    place=st.tuples(st.floats(0.02, 0.5), st.floats(-0.01, 0.02), st.floats(-0.01, 0.02)),
    tilt=st.tuples(tilts, tilts, st.floats(-3, 3)),
    orientation=st.sampled_from([1, 2, 3, 4]),
    npt=st.integers(5, 120),
    unit=st.sampled_from(["q_A^-1", "q_nm^-1", "2th_deg", "2th_rad", "r_mm", "r_m"]),
    split=st.sampled_from(["no", "bbox", "full"]),
    polarization=st.none() | st.floats(-1, 1),
    seed=st.none() | st.integers(0, 99),
)
def test_any_geometry_gives_pyfais_matrix(
    place: Any, tilt: Any, orientation: int, npt: int, unit: Any, split: Any,
    polarization: float | None, seed: int | None,
) -> None:  # fmt: skip
    integrator = AzimuthalIntegrator(
        *place, *tilt, wavelength=0.5e-10,
        detector=Detector(2e-4, 2e-4, max_shape=SHAPE, orientation=orientation),
    )  # fmt: skip
    mask = None if seed is None else np.random.default_rng(seed).random(SHAPE) < 0.3
    mine, theirs = both(
        integrator, npt, unit=unit, split=split, polarization_factor=polarization, mask=mask
    )
    check_same(mine, theirs)


@pytest.mark.parametrize("split", ["no", "bbox", "full"])
@pytest.mark.parametrize("kind", ["range", "sector", "beam", "backwards", "apart", "bent", "flat"])
def test_what_is_out_of_the_ordinary_is_pyfais_too(kind: str, split: Any) -> None:
    integrator, asked = geometry(), dict[str, Any]()
    if kind == "range":
        asked = {"radial_range": (1.2, 2.3)}
    elif kind == "sector":
        asked = {"azimuth_range": (100.0, -150.0)}
    elif kind == "beam":
        # The beam falls into a pixel.
        integrator.set_param((0.05, 5.07e-3, 6.03e-3, 0, 0, 0))
    elif kind == "backwards":
        integrator.set_param((0.05, 4e-3, 7e-3, math.pi - 0.4, 0, 0))
    elif kind == "apart":
        corners = integrator.detector.get_pixel_corners().copy()
        corners[:, 30:, :, 2] += 7.3e-4
        integrator.detector.set_pixel_corners(corners)
    elif kind == "bent":
        corners = integrator.detector.get_pixel_corners().copy()
        corners[..., 0] = 0.3 * corners[..., 2] ** 2 / 1e-2
        integrator.detector.set_pixel_corners(corners)
        integrator.detector.IS_FLAT = False
    else:
        asked = {"flat": np.random.default_rng(1).uniform(0, 1, SHAPE)}
    check_same(*both(integrator, 40, split=split, **asked))


def test_the_share_of_a_bin_is_the_area_in_it() -> None:
    # Far from the beam a pixel is a square that stands in radius and azimuth as it stands in space.
    integrator = AzimuthalIntegrator(
        1.0, -1.0, 5e-4, detector=Detector(1e-4, 1e-4, max_shape=(10, 10)), wavelength=1e-10
    )
    matrix = integration_matrix(integrator, 25, unit="r_m", solid_angle=False)
    first, width = matrix.radial[0], matrix.radial[1] - matrix.radial[0]
    shares = matrix.sparse(np).toarray().reshape(25, 10, 10)
    for row in (2, 7):
        edges = (np.arange(26) - 0.5) * width + first - 1.0
        whole = np.clip(edges, row * 1e-4, (row + 1) * 1e-4)
        np.testing.assert_allclose(shares[:, row, 5], np.diff(whole) / 1e-4, atol=2e-3)


def test_pixels_are_kept_for_the_next_position_of_the_beam(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[Any] = []
    ask = azimuthal_geometry._ask
    monkeypatch.setattr(azimuthal_geometry, "_PIXELS", type(azimuthal_geometry._PIXELS)())

    def counted(detector: Any, shape: tuple[int, int]) -> Any:
        asked.append(detector)
        return ask(detector, shape)

    monkeypatch.setattr(azimuthal_geometry, "_ask", counted)
    patterns = []
    for step in range(3):
        moved = geometry()
        moved.poni1 += step * 5e-5
        patterns.append(integrate(frames(1), integration_matrix(moved, 40)))
    assert len(asked) == 1
    assert np.nanmax(np.abs(patterns[1] - patterns[0])) > 0.1
    # Pixels of another shape are others.
    other = geometry()
    corners = other.detector.get_pixel_corners().copy()
    other.detector.set_pixel_corners(corners * np.float32(1.01))
    check_same(*both(other, 40))
    assert len(asked) == 2
    (kept,) = list(azimuthal_geometry._PIXELS.values())[:1]
    # On a grid they are a row and a column.
    assert kept.corners[0].strides[1] == kept.corners[1].strides[0] == 0


def test_azimuths_are_arc_tangents_all_the_way_round() -> None:
    turn = np.r_[np.linspace(-np.pi, np.pi, 4001), np.arange(-4, 5) * np.pi / 4]
    up, side = np.r_[np.sin(turn), 0, 0, -1e-300][None], np.r_[np.cos(turn), 0, -1, 5][None]
    radius, azimuth = np.empty(up.shape), np.empty(up.shape)
    seen = np.r_[1.0, 0.0, 0.0, np.eye(3).ravel()]
    kind = azimuthal_geometry.RADIUS
    azimuthal_geometry.polar(up, side, np.empty((0, 0)), seen, kind, 1.0, radius, azimuth)
    np.testing.assert_allclose(azimuth, np.arctan2(up, side), atol=1e-11)
    np.testing.assert_allclose(radius, np.hypot(up, side), atol=1e-15)
