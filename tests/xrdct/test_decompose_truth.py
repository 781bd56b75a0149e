"""Components of a layer of the twin beside the references and the maps that it was made of."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.phase_twin import layer, powder
from zeoarray import xrdct

Array = np.ndarray[Any, Any]

# Frames are drawn one by one, on machines that may be shared.
pytestmark = [pytest.mark.prove, pytest.mark.timeout(3600)]

TERMS = 12


def test_components_are_the_phases_of_the_twin() -> None:
    """At a hundredth of the exposure, from nothing but the voxels."""
    scan = layer(40, 30, (0.01,))
    voxels = xrdct.reconstruct(scan.sinograms[0.01], center=scan.axis)
    references = xrdct.reference_patterns(
        voxels, first=powder("sodium"), second=powder("zinc"), polarization="none",
        background=TERMS,
    )  # fmt: skip
    node = xrdct.decompose(voxels, components=2, background=TERMS)
    # Of the twin there is more zinc, which is therefore the first.
    found, truth = node["pattern"].values, references["pattern"].values[::-1]
    assert np.corrcoef(truth)[0, 1] < 0.7
    for mine, other in zip(found, truth, strict=True):
        assert np.corrcoef(mine, other)[0, 1] > 0.98
    fit = xrdct.fit_phases(
        voxels, references=node, background=TERMS, correlation=scan.correlation
    )  # fmt: skip
    inside = np.hypot(voxels["y"].values[:, None], voxels["x"].values) <= 475
    for weight, other in zip(fit["weight"].isel(z=0).values, scan.truth[::-1], strict=True):
        assert np.corrcoef(weight[inside], other[inside])[0, 1] > 0.99
