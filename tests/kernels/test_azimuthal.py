"""Azimuthal integration beside pyFAI, beside sums by hand, and on real frames."""

from __future__ import annotations

import itertools
import logging
import pickle
import warnings
from pathlib import Path
from typing import Any

import fabio
import numpy as np
import pytest
import scipy.sparse

from tests.diffraction_frames import SHAPE, frames, geometry
from zeoarray.errors import ArgumentError, MissingMetadataError, UnknownNameError
from zeoarray.kernels import azimuthal, azimuthal_build, azimuthal_plain
from zeoarray.kernels.azimuthal import integrate, integration_matrix
from zeoarray.kernels.azimuthal_frames import Frames
from zeoarray.units import wavelength_of

Array = np.ndarray[Any, Any]
rng = np.random.default_rng(3)


@pytest.fixture(autouse=True)
def _quiet() -> None:
    logging.getLogger("pyFAI").setLevel(logging.CRITICAL)


def peer(frame: Array, npt: int, split: str = "full", **given: Any) -> Any:
    """pyFAI's own integration of one frame."""
    return geometry().integrate1d_ng(frame, npt, method=(split, "csr", "cython"), **given)


# --- beside pyFAI ---------------------------------------------------------------------------------
@pytest.mark.parametrize("split", ["no", "bbox", "full"])
@pytest.mark.parametrize("unit", ["q_A^-1", "q_nm^-1", "2th_deg", "2th_rad", "r_mm"])
def test_patterns_are_pyfais(unit: Any, split: Any) -> None:
    data = frames(3)
    matrix = integration_matrix(geometry(), 60, unit=unit, split=split)
    pattern, sigma = integrate(data, matrix, error_model="poisson")
    for i, frame in enumerate(data):
        expected = peer(frame, 60, split, unit=unit, error_model="poisson")
        np.testing.assert_allclose(matrix.radial, expected.radial, rtol=1e-12)
        filled = expected.sum_normalization > 0
        np.testing.assert_allclose(pattern[i, filled], expected.intensity[filled], rtol=1e-5)
        np.testing.assert_allclose(sigma[i, filled], expected.sigma[filled], rtol=1e-5)
        assert np.isnan(pattern[i, ~filled]).all()


def test_lattice_spacings_need_a_range() -> None:
    with pytest.raises(ArgumentError, match="radial_range is needed"):
        integration_matrix(geometry(), 50, unit="d_A")
    matrix = integration_matrix(geometry(), 50, unit="d_A", radial_range=(1.0, 20.0))
    expected = peer(frames(1)[0], 50, unit="d_A", radial_range=(1.0, 20.0))
    pattern = integrate(frames(1)[0], matrix)
    assert matrix.unit == "angstrom"
    np.testing.assert_allclose(matrix.radial, expected.radial, rtol=1e-9)
    filled = expected.sum_normalization > 0
    assert filled.sum() > 10
    np.testing.assert_allclose(pattern[filled], expected.intensity[filled], rtol=1e-5)


def test_corrections_are_pyfais() -> None:
    data = frames(20, background=50)
    dark = rng.uniform(0, 3, SHAPE).astype("float32")
    flat = rng.uniform(0.5, 1.5, SHAPE).astype("float32")
    factor = np.linspace(0.5, 2, 20)
    mask = rng.random(SHAPE) < 0.1
    common = {"polarization_factor": 0.9, "mask": mask, "radial_range": (0.4, 2.2)}
    matrix = integration_matrix(geometry(), 40, flat=flat, **common)
    data[:, 7, 9] = -5
    pattern, sigma = integrate(data, matrix, error_model="poisson", dark=dark, factor=factor)
    for i in (0, 17):
        expected = peer(
            data[i], 40, unit="q_A^-1", dark=dark, flat=flat, error_model="poisson", dummy=-5,
            delta_dummy=0.1, normalization_factor=factor[i], **common,
        )  # fmt: skip
        np.testing.assert_allclose(pattern[i], expected.intensity, rtol=1e-5)
        np.testing.assert_allclose(sigma[i], expected.sigma, rtol=1e-5)


def test_given_and_azimuthal_variances_are_pyfais() -> None:
    data = frames(2, background=50).astype("float32")
    variance = rng.uniform(1, 9, data.shape).astype("float32")
    matrix = integration_matrix(geometry(), 30, split="no")
    _, given = integrate(data, matrix, error_model="variance", variance=variance)
    expected = peer(data[1], 30, "no", unit="q_A^-1", variance=variance[1])
    np.testing.assert_allclose(given[1], expected.sigma, rtol=1e-5)
    _, spread = integrate(data, matrix, error_model="azimuthal")
    two_pass = geometry().integrate1d_ng(
        data[1], 30, method=("no", "csr", "python"), unit="q_A^-1", error_model="azimuthal"
    )
    np.testing.assert_allclose(spread[1], two_pass.sigma, rtol=1e-4)


def test_a_cake_is_pyfais() -> None:
    data = frames(2)
    matrix = integration_matrix(geometry(), (20, 12))
    cake = integrate(data, matrix)
    expected = geometry().integrate2d_ng(
        data[1], 20, 12, unit="q_A^-1", method=("full", "csr", "cython")
    )
    np.testing.assert_allclose(matrix.radial, expected.radial)
    np.testing.assert_allclose(matrix.azimuth, expected.azimuthal)
    # At the seam of the azimuth pyFAI's splitting differs a little from one call to the next.
    filled = (expected.sum_normalization > 1e-9).T & (np.abs(matrix.azimuth) < 150)
    np.testing.assert_allclose(cake[1][filled], expected.intensity.T[filled], rtol=1e-5)


# --- by hand --------------------------------------------------------------------------------------
def test_every_count_is_in_one_bin() -> None:
    data = frames(18)
    for split in ("no", "full"):
        matrix = integration_matrix(geometry(), 33, split=split, solid_angle=False)
        signal, norm, variance = azimuthal.sums(data, matrix=matrix, error_model="poisson")
        np.testing.assert_allclose(signal.sum(-1), data.sum((1, 2)), rtol=1e-4)
        np.testing.assert_allclose(norm.sum(-1), data[0].size, rtol=1e-4)
        if split == "no":
            np.testing.assert_allclose(variance.sum(-1), np.maximum(data, 1).sum((1, 2)), rtol=1e-5)


def test_sectors_share_no_pixel_and_may_pass_the_seam() -> None:
    edges = (-180, -60, 60, 150, 180)
    common = {"solid_angle": False, "split": "no"}
    whole = integration_matrix(geometry(), 25, **common)
    parts = [
        integration_matrix(geometry(), 25, azimuth_range=pair, **common)
        for pair in itertools.pairwise(edges)
    ]
    np.testing.assert_allclose(sum(p.normalization for p in parts), whole.normalization)
    across = integration_matrix(geometry(), 25, azimuth_range=(150, -60), **common)
    both = parts[3].normalization + parts[0].normalization
    np.testing.assert_allclose(across.normalization, both)
    np.testing.assert_array_equal(across.radial, whole.radial)


@pytest.mark.parametrize(
    ("dtype", "bad"),
    [("int32", -1), ("int32", 2**31 - 1), ("uint16", 65535), ("float32", np.nan),
     ("float64", np.inf)],
)  # fmt: skip
def test_what_is_no_count_is_left_out(dtype: str, bad: float) -> None:
    data = np.full((2, *SHAPE), 7, dtype)
    data[0, 10:20, 5:50] = bad
    data[1, 30:40] = bad
    matrix = integration_matrix(geometry(), 20, solid_angle=False)
    pattern, sigma = integrate(data, matrix, error_model="poisson")
    np.testing.assert_allclose(pattern, 7, rtol=1e-5)
    clean = integrate(np.full(SHAPE, 7, dtype), matrix, error_model="poisson")[1]
    # Fewer pixels, larger errors; and those of the lost pixels nowhere.
    assert (sigma >= clean * (1 - 1e-6)).all()
    assert sigma.max() > clean.max()


def test_dummies_and_saturation() -> None:
    data = frames(1)
    matrix = integration_matrix(geometry(), 20, solid_angle=False)
    odd = data.copy()
    odd[0, :4] = 999
    odd[0, 8:12] = 70000
    mask = np.zeros(SHAPE, bool)
    mask[:4] = mask[8:12] = True
    expected = integrate(np.where(mask, -1, data), matrix)
    given = {"dummy": 1000, "delta_dummy": 2, "saturation": 60000}
    np.testing.assert_allclose(integrate(odd, matrix, **given), expected, rtol=1e-6)
    assert (np.abs(integrate(odd, matrix) / expected - 1) > 0.01).any()


def test_a_frame_without_a_valid_pixel_is_nan_and_no_frames_are_no_patterns() -> None:
    matrix = integration_matrix(geometry(), 20)
    data = np.stack([np.full(SHAPE, -1, "int32"), frames(1)[0]])
    pattern, sigma = integrate(data, matrix, error_model="poisson")
    assert np.isnan(pattern[0]).all()
    assert np.isnan(sigma[0]).all()
    assert np.isfinite(pattern[1]).all()
    assert integrate(data[:0], matrix).shape == (0, 20)


def test_many_faint_and_bright_pixels_lose_nothing_to_single_precision() -> None:
    data = rng.integers(0, 10**6, (17, *SHAPE)).astype("int32")
    matrix = integration_matrix(geometry(), 3)
    pointer, pixel, share = matrix.by_bin
    exact = scipy.sparse.csr_matrix(
        (share.astype(float), pixel, pointer), (3, data[0].size)
    ) @ data.reshape(17, -1).T.astype(float)  # fmt: skip
    np.testing.assert_allclose(azimuthal.sums(data, matrix=matrix)[0], exact.T, rtol=1e-6)


@pytest.mark.parametrize("change", ["strided", "swapped", "half"])
def test_any_layout_of_frames(change: str) -> None:
    data = frames(3).astype("float16" if change == "half" else "float32")
    matrix = integration_matrix(geometry(), 20)
    expected = integrate(data.astype("float32"), matrix)
    if change == "strided":
        data = np.moveaxis(np.ascontiguousarray(np.moveaxis(data, 0, -1)), -1, 0)
        assert not data.flags.c_contiguous
    elif change == "swapped":
        data = data.astype(">f4")
    np.testing.assert_allclose(integrate(data, matrix), expected, rtol=1e-3)


# --- errors of windows ----------------------------------------------------------------------------
def test_sigma_of_a_window_is_that_of_resampled_counts() -> None:
    # As many bins for a pixel as in the reduced data of the paper: about four and a half.
    matrix = integration_matrix(geometry(), 300)
    mean = frames(1, background=20)[0].astype(float)
    drawn = np.random.default_rng(7).poisson(mean, (2500, *SHAPE)).astype("int32")
    signal, norm, _ = azimuthal.sums(drawn, matrix=matrix)
    band = azimuthal.covariance_band(mean.astype("float32"), matrix=matrix, error_model="variance")
    for width in (10, 20):
        window = np.zeros(300)
        window[150 : 150 + width] = 1 / norm[0, 150 : 150 + width]
        observed = (signal @ window).std()
        predicted = np.sqrt(azimuthal.variance_of(window, band))
        assert predicted == pytest.approx(observed, rel=0.05)
        # Bins taken as independent would be far too sure of themselves.
        assert np.sqrt((band[:, 0] * window**2).sum()) < 0.7 * observed


def test_the_band_is_the_covariance_and_ends_where_pixels_do() -> None:
    matrix = integration_matrix(geometry(), 120)
    data = frames(2)
    band = azimuthal.covariance_band(data, matrix=matrix)
    shares = matrix.sparse(np).astype(float)
    for i, frame in enumerate(data):
        spread = scipy.sparse.diags(np.maximum(frame.ravel(), 1).astype(float))
        dense = (shares @ spread @ shares.T).toarray()
        for lag in range(band.shape[-1]):
            expected = np.append(np.diagonal(dense, lag), np.zeros(lag))
            np.testing.assert_allclose(band[i, :, lag], expected, rtol=1e-4, atol=1e-5)
        assert not np.triu(dense, matrix.reach + 1).any()
    variance = azimuthal.sums(data, matrix=matrix, error_model="poisson")[2]
    np.testing.assert_allclose(band[..., 0], variance, rtol=1e-5)
    short = azimuthal.covariance_band(data, matrix=matrix, lags=1)
    np.testing.assert_array_equal(short, band[..., :2])


# --- any array library ----------------------------------------------------------------------------
@pytest.mark.parametrize("model", [None, "poisson", "variance", "azimuthal"])
def test_plain_products_give_the_same(model: Any) -> None:
    data = frames(3, background=30).astype("float32")
    data[0, :5] = np.nan
    variance = rng.uniform(1, 5, data.shape) if model == "variance" else None
    matrix = integration_matrix(geometry(), 50)
    dark = rng.uniform(0, 2, SHAPE).astype("float32")
    given = {"variance": variance, "factor": 2.0, "dark": dark}
    expected = azimuthal.sums(data, matrix=matrix, error_model=model, **given)
    source = Frames(data, matrix, dummy=None, delta_dummy=0.0, saturation=None, **given)
    found = azimuthal_plain.batch(source, matrix, slice(0, 3), model)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=2e-4)
    if model == "poisson":
        band = azimuthal_plain.band(source, matrix, slice(0, 3), 4, True)
        whole = azimuthal.covariance_band(data, matrix=matrix, lags=3)
        np.testing.assert_allclose(band, whole, rtol=1e-4, atol=1e-4)


# --- the matrix -----------------------------------------------------------------------------------
def test_a_configuration_is_small_and_builds_the_same_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    mask = rng.random(SHAPE) < 0.2
    config = azimuthal.configuration(geometry(), 40, mask=mask)
    same = azimuthal.configuration(geometry(), 40, mask=mask.astype("uint8"))
    assert config == same
    assert hash(config) == hash(same)
    assert config != azimuthal.configuration(geometry(), 40)
    assert config != azimuthal.configuration(geometry(), 40, mask=mask, split="bbox")
    sent = pickle.loads(pickle.dumps(config))
    assert sent == config
    assert len(pickle.dumps(config)) < 5000
    built = []
    build = azimuthal_build.build
    monkeypatch.setattr(azimuthal_build, "_BUILT", type(azimuthal_build._BUILT)())
    monkeypatch.setattr(azimuthal_build, "build", lambda c, i: built.append(c) or build(c, i))
    expected = integrate(frames(2), integration_matrix(geometry(), 40, mask=mask))
    for each in (config, sent, same):
        np.testing.assert_array_equal(integrate(frames(2), each), expected)
    assert len(built) == 1 + 1
    for npt in (41, 42, 43):
        integrate(frames(1), azimuthal.configuration(geometry(), npt))
    assert len(azimuthal_build._BUILT) == azimuthal_build.KEPT


def test_a_matrix_lives_without_pyfai() -> None:
    matrix = integration_matrix(geometry(), 40)
    sent = pickle.loads(pickle.dumps(matrix))
    np.testing.assert_array_equal(integrate(frames(2), sent), integrate(frames(2), matrix))
    assert matrix.bins == 40
    assert matrix.shape == SHAPE
    assert matrix.unit == "1/angstrom"
    assert matrix.nbytes > 6 * matrix.data.size


# --- bad input ------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"mask": np.zeros((60, 50))}, r"the mask does not fit.*\n.*\(60, 50\).*\n.*\(50, 60\)"),
        ({"mask": np.zeros((60, 50))}, r"transposed\?"),
        ({"flat": np.ones((3, 3))}, "the flat does not fit"),
        ({"mask": np.ones(SHAPE)}, "leaves no pixel"),
        ({"flat": np.zeros(SHAPE)}, "no pixel of the detector"),
        ({"radial_range": (90.0, 99.0)}, r"no pixel.*\n.*\(90.0, 99.0\).*\n.*between"),
        ({"radial_range": (3.0, 1.0)}, "radial_range ascends"),
        ({"radial_range": (0.0, np.nan)}, "two finite ends"),
        ({"azimuth_range": (10.0, 10.0)}, "is no sector"),
        ({"npt": 0}, "one bin or more"),
        ({"npt": (10, 10), "azimuth_range": (170.0, 190.0)}, "cannot pass 180"),
        ({"polarization_factor": 95.0}, "between -1"),
        ({"energy_kev": 30.0}, r"contradicts the wavelength.*\n.*30 keV"),
    ],
)
def test_bad_matrices(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        integration_matrix(geometry(), **{"npt": 20, **given})


def test_an_energy_that_agrees_is_taken() -> None:
    energy = wavelength_of(geometry().wavelength * 1e10)
    assert integration_matrix(geometry(), 20, energy_kev=energy * 1.0005).bins == 20


def test_unknown_names_and_a_missing_wavelength() -> None:
    with pytest.raises(UnknownNameError, match=r"radial unit 'q_A'[\s\S]*did you mean 'q_A\^-1'"):
        integration_matrix(geometry(), 20, unit="q_A")  # type: ignore[arg-type]
    with pytest.raises(UnknownNameError, match="pixel splitting 'ful'"):
        integration_matrix(geometry(), 20, split="ful")  # type: ignore[arg-type]
    blind = geometry(wavelength=None)
    with pytest.raises(MissingMetadataError, match=r"no wavelength[\s\S]*integrator.wavelength"):
        integration_matrix(blind, 20)
    assert integration_matrix(blind, 20, unit="2th_deg").unit == "deg"


@pytest.mark.parametrize(
    ("data", "given", "message"),
    [
        (np.zeros((2, 60, 50), "int32"), {}, r"another detector[\s\S]*transposed\?"),
        (np.zeros((2, 25, 30), "int32"), {}, r"another detector[\s\S]*\(25, 30\)"),
        (np.zeros(60, "int32"), {}, "another detector"),
        (np.zeros(SHAPE, complex), {}, "are no counts"),
        (np.zeros(SHAPE), {"dark": np.zeros((5, 5))}, "the dark are of another"),
        (np.zeros(SHAPE), {"error_model": "variance"}, "belong together"),
        (np.zeros(SHAPE), {"variance": np.zeros(SHAPE)}, "belong together"),
        (np.zeros(SHAPE), {"error_model": "poison"}, "did you mean 'poisson'"),
        (np.zeros((3, *SHAPE)), {"factor": [1.0, 0.0, 1.0]}, r"factor 0 of frame 1[\s\S]*dead"),
        (np.zeros((3, *SHAPE)), {"factor": [1.0, 2.0]}, "factors do not fit"),
        (np.zeros(SHAPE), {"factor": np.nan}, "cannot be normalised"),
        (np.zeros(SHAPE), {"saturation": -1}, "saturate above 0"),
        (np.zeros(SHAPE), {"dummy": 0, "delta_dummy": -1}, "delta_dummy is a distance"),
        (np.zeros(SHAPE), {"error_model": "variance", "variance": np.zeros((7, *SHAPE))},
         "variance does not fit"),
    ],
)  # fmt: skip
def test_bad_frames(data: Array, given: dict[str, Any], message: str) -> None:
    matrix = integration_matrix(geometry(), 20)
    with pytest.raises(ArgumentError, match=message):
        integrate(data, matrix, **given)


def test_bad_bands() -> None:
    data = frames(1)
    with pytest.raises(ArgumentError, match="not of a cake"):
        azimuthal.covariance_band(data, matrix=integration_matrix(geometry(), (9, 9)))
    matrix = integration_matrix(geometry(), 20)
    with pytest.raises(ArgumentError, match="lags count bins"):
        azimuthal.covariance_band(data, matrix=matrix, lags=-1)
    with pytest.raises(UnknownNameError, match="error model of covariances"):
        azimuthal.covariance_band(data, matrix=matrix, error_model="none")  # type: ignore[arg-type]


# --- real frames ----------------------------------------------------------------------------------
@pytest.mark.real
def test_ceria_rings_are_where_the_calibrant_has_them(real: Path) -> None:
    folder = real / "ceo2_pilatus"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pyFAI

        loaded = pyFAI.load(str(folder / "CeO2.poni"))
        frame = fabio.open(folder / "CeO2.cbf").data
        mask = fabio.open(folder / "mask.edf").data
    matrix = integration_matrix(loaded, 2500, mask=mask, split="no")
    pattern, sigma = integrate(frame, matrix, error_model="poisson")
    # Cerium dioxide (SRM 674b), a = 5.41165 angstrom: all indices even, or all odd.
    h, k, l = np.mgrid[0:8, 0:8, 0:8].reshape(3, -1)  # noqa: E741
    odd = h % 2 + k % 2 + l % 2
    square = np.unique((h**2 + k**2 + l**2)[(odd == 0) | (odd == 3)])[1:]
    lines = 2 * np.pi / 5.41165 * np.sqrt(square)
    seen = []
    for q in lines[lines < matrix.radial[-1] * 0.9]:
        near = np.abs(matrix.radial - q) < 0.012 * q**0.5
        base = np.nanpercentile(pattern[near], 20)
        height = np.clip(pattern[near] - base, 0, None)
        if np.nanmax(height) > 30 * np.nanmedian(sigma[near]):
            core = height > 0.3 * np.nanmax(height)
            seen.append((matrix.radial[near][core] * height[core]).sum() / height[core].sum() / q)
    assert len(seen) >= 8
    np.testing.assert_allclose(seen, 1, atol=1e-3)
