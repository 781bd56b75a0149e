"""Single-distance phase retrieval: the filter of Paganin, for one material in a parallel beam."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.fft

from zeoarray.backend import xp_of
from zeoarray.errors import ArgumentError
from zeoarray.kernels.contract import Memory, Parameters, Sizes, contract_of, kernel
from zeoarray.kernels.packed import each
from zeoarray.kernels.polar import fft_of
from zeoarray.units import wavelength_of

DECAY = 8.0
"""The filter falls as exp(-r / length): so many lengths of padding leave a thousandth of it."""
QUANTITIES = {
    "delta_beta": "delta / beta of the material",
    "pixel_um": "the pixel size [um]",
    "distance_m": "the distance from sample to detector [m]",
    "energy_kev": "the photon energy [keV]",
}


def blur_length(
    *, delta_beta: float, pixel_um: float, distance_m: float, energy_kev: float
) -> float:
    """Range of the filter in pixels: sqrt(wavelength * distance * delta / (4 pi beta)).

    Raises
    ------
    ArgumentError
        For a value that is not finite and above 0 (a distance of 0 is allowed).

    Examples
    --------
    >>> round(blur_length(delta_beta=200, pixel_um=1.0, distance_m=0.1, energy_kev=12.3984), 3)
    12.616
    """
    values = (delta_beta, pixel_um, distance_m, energy_kev)
    for name, value in zip(QUANTITIES, values, strict=True):
        if not (np.isfinite(value) and (value > 0 or (name == "distance_m" and value == 0))):
            raise ArgumentError(
                f"{QUANTITIES[name]} is not a positive number", got=f"{name}={value}"
            )
    wavelength_m = wavelength_of(energy_kev) * 1e-10
    length_m = np.sqrt(wavelength_m * distance_m * delta_beta / (4 * np.pi))
    return float(length_m / (pixel_um * 1e-6))


def _padded(size: int, length: float) -> int:
    # Beyond three widths the edges say no more than their mean.
    margin = min(int(np.ceil(DECAY * length)), size)
    return int(scipy.fft.next_fast_len(size + 2 * margin, real=True))


def _memory(sizes: Sizes, parameters: Parameters, threads: int) -> Memory:
    names = ("delta_beta", "pixel_um", "distance_m", "energy_kev")
    length = blur_length(**{name: parameters[name] for name in names})
    rows, columns = (_padded(sizes[d], length) for d in ("z", "u"))
    # Padded image, its spectrum and a copy, and the filter.
    return Memory(0, 4 * rows * columns + 22 * rows * (columns // 2 + 1) + 64 * (rows + columns))


@kernel("(z,u)->(z,u)", memory=_memory)
def paganin(
    transmission: Any,
    *,
    delta_beta: float,
    pixel_um: float,
    distance_m: float,
    energy_kev: float,
) -> Any:
    """(..., z, u) -> (..., z, u). The transmission that the sample has without propagation.

    T = F^-1{ F{I} / (1 + R delta / mu k^2) } with mu = 4 pi beta / wavelength, so that -log(T) is
    mu times the thickness, and -delta_beta / 2 * log(T) (times -1) the phase shift. k is the
    angular spatial frequency. Edges are extended by their nearest values.

    Parameters
    ----------
    transmission
        Projections divided by the beam.
    delta_beta
        delta / beta, of the refractive index 1 - delta + i beta.
    pixel_um
        Pixel size [um].
    distance_m
        R, from sample to detector [m].
    energy_kev
        Photon energy [keV].

    Raises
    ------
    ArgumentError
        For a value that is not finite, in an image or a parameter.

    References
    ----------
    D. Paganin et al., "Simultaneous phase and amplitude extraction from a single defocused image
    of a homogeneous object", J. Microsc. 206, 33 (2002), doi:10.1046/j.1365-2818.2002.01010.x.

    Examples
    --------
    >>> setting = {"pixel_um": 1.0, "distance_m": 0.1, "energy_kev": 20.0}
    >>> paganin(np.full((3, 5), 0.5), delta_beta=100.0, **setting).round(6).tolist()[0]
    [0.5, 0.5, 0.5, 0.5, 0.5]
    """
    xp, fft = xp_of(transmission), fft_of(xp_of(transmission))
    length = blur_length(
        delta_beta=delta_beta, pixel_um=pixel_um, distance_m=distance_m, energy_kev=energy_kev
    )
    dtype = contract_of(paganin).output_dtype(0, transmission.dtype)
    out = xp.empty(transmission.shape, dtype)
    if not out.size:
        return out
    size = transmission.shape[-2:]
    padded = tuple(_padded(n, length) for n in size)
    margin = tuple((p - n) // 2 for p, n in zip(padded, size, strict=True))
    widths = [(m, p - n - m) for m, p, n in zip(margin, padded, size, strict=True)]
    down = (2 * np.pi * length * xp.fft.fftfreq(padded[0])) ** 2
    across = (2 * np.pi * length * xp.fft.rfftfreq(padded[1])) ** 2
    divisor = down.astype(dtype)[:, None] + (1 + across).astype(dtype)
    inner = tuple(slice(m, m + n) for m, n in zip(margin, size, strict=True))
    for index, image, target in zip(
        np.ndindex(*out.shape[:-2]), each(transmission, 2), each(out, 2), strict=True
    ):
        if image.dtype.kind == "f" and not bool(xp.isfinite(image).all()):
            raise ArgumentError(
                f"projection {index} has values that are not finite",
                got=f"{int((~xp.isfinite(image)).sum())} of {image.size}",
                do="fill them: a filter in Fourier space would spread them over the projection",
            )
        spectrum = fft.rfft2(xp.pad(image.astype(dtype, copy=False), widths, mode="edge"))
        spectrum /= divisor
        target[...] = fft.irfft2(spectrum, s=padded, overwrite_x=True)[inner]
    return out
