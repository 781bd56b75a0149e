"""Orientations mean what they mean in pyFAI."""

from __future__ import annotations

import numpy as np
import pytest
from pyFAI.detectors import Detector

from zeoarray.errors import ArgumentError
from zeoarray.kernels import orient

FRAME = np.arange(6).reshape(2, 3)


@pytest.mark.parametrize("current", [1, 2, 3, 4])
@pytest.mark.parametrize("wanted", [1, 2, 3, 4])
def test_pixels_keep_their_place_in_space(current: int, wanted: int) -> None:
    """A pixel's position in space is pyFAI's for its index and orientation."""

    def places(orientation: int) -> tuple[np.ndarray, np.ndarray]:
        detector = Detector(1e-4, 2e-4, max_shape=FRAME.shape, orientation=orientation)
        one, two, _ = detector.calc_cartesian_positions()
        return one, two

    for before, after in zip(places(current), places(wanted), strict=True):
        turned = orient.to_orientation(before, current=current, wanted=wanted)
        np.testing.assert_allclose(turned, after, atol=1e-12)


@pytest.mark.parametrize("current", [1, 2, 3, 4])
@pytest.mark.parametrize("wanted", [1, 2, 3, 4])
def test_there_and_back(current: int, wanted: int) -> None:
    frames = np.stack([FRAME, FRAME + 10]).astype("uint16")
    there = orient.to_orientation(frames, current=current, wanted=wanted)
    back = orient.to_orientation(there, current=wanted, wanted=current)
    np.testing.assert_array_equal(back, frames)
    assert there.dtype == "uint16"
    assert there.flags.c_contiguous
    assert (there is frames) == (current == wanted)


def test_by_hand() -> None:
    expected = {
        1: [0, 1, 2, 3, 4, 5],
        2: [2, 1, 0, 5, 4, 3],
        3: [5, 4, 3, 2, 1, 0],
        4: [3, 4, 5, 0, 1, 2],
    }
    for wanted, order in expected.items():
        assert orient.to_orientation(FRAME, current=1, wanted=wanted).ravel().tolist() == order


@pytest.mark.parametrize("orientation", [0, 5, -1])
def test_no_such_orientation(orientation: int) -> None:
    with pytest.raises(ArgumentError, match="no orientation of a detector image") as info:
        orient.to_orientation(FRAME, current=1, wanted=orientation)
    assert "3 (bottom right)" in str(info.value)
