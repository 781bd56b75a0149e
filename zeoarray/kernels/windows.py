"""Sums and means over windows: binning."""

from __future__ import annotations

from typing import Any

from zeoarray.backend import xp_of
from zeoarray.errors import ArgumentError
from zeoarray.kernels.contract import Parameters, Sizes, contract_of, kernel


def _factor(parameters: Parameters) -> int:
    return int(parameters["factor"])


def _binned(sizes: Sizes, parameters: Parameters) -> dict[str, int]:
    return {"n": sizes["n"] // _factor(parameters)}


@kernel("(n)->(n)", grain={"n": _factor}, sizes=_binned)
def bin_sum(array: Any, *, factor: int) -> Any:
    """(..., n) -> (..., n // factor). The sum of each `factor` neighbours.

    The last ``n % factor`` elements fill no bin and are left out.

    Parameters
    ----------
    array
        Any numbers.
    factor
        Elements in a bin.

    Raises
    ------
    ArgumentError
        For a factor below 1, or above the number of elements.

    Examples
    --------
    >>> import numpy as np
    >>> bin_sum(np.array([1, 2, 3, 4, 5], "uint16"), factor=2)
    array([3., 7.], dtype=float32)
    """
    stop = _stop(array, factor)
    dtype = contract_of(bin_sum).output_dtype(0, array.dtype)
    # One strided slice at a time, so that the sum has the input's order in memory, whichever
    # axis of it is the last one here; a reduction over a reshaped view is several times slower.
    out = array[..., 0:stop:factor].astype(dtype)
    for i in range(1, factor):
        out += array[..., i:stop:factor]
    return out


@kernel("(n)->(n)", grain={"n": _factor}, sizes=_binned)
def bin_mean(array: Any, *, factor: int) -> Any:
    """(..., n) -> (..., n // factor). The mean of each `factor` neighbours.

    The last ``n % factor`` elements fill no bin and are left out.

    Parameters
    ----------
    array
        Any numbers.
    factor
        Elements in a bin.

    Raises
    ------
    ArgumentError
        For a factor below 1, or above the number of elements.

    Examples
    --------
    >>> import numpy as np
    >>> bin_mean(np.array([1.0, 2.0, 3.0, 4.0]), factor=2)
    array([1.5, 3.5])
    """
    out = bin_sum(array, factor=factor)
    out /= factor
    return out


@kernel("(n)->(n)", grain={"n": _factor}, sizes=_binned, dtype="same")
def bin_all(array: Any, *, factor: int) -> Any:
    """(..., n) -> (..., n // factor). The least of each `factor` neighbours: all, for flags.

    Parameters
    ----------
    array
        Flags: bool, or integers that are 0 where false.
    factor
        Elements in a bin.

    Raises
    ------
    ArgumentError
        For a factor below 1, or above the number of elements.

    Examples
    --------
    >>> import numpy as np
    >>> bin_all(np.array([True, True, True, False]), factor=2)
    array([ True, False])
    """
    stop = _stop(array, factor)
    xp = xp_of(array)
    out = array[..., 0:stop:factor].astype(array.dtype)
    for i in range(1, factor):
        xp.minimum(out, array[..., i:stop:factor], out=out)
    return out


def _stop(array: Any, factor: int) -> int:
    size = int(array.shape[-1])
    if not 1 <= factor <= max(size, 1):
        raise ArgumentError(
            "elements cannot be binned by this factor",
            got=f"factor {factor}, {size} elements",
            expected=f"1 to {size}",
        )
    return size - size % factor
