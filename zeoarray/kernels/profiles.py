"""Shapes of powder lines."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
LN2 = float(np.log(2.0))


def pseudo_voigt(offset: Any, width: Any, share: Any) -> Any:
    """Pseudo-Voigt profile of unit area: `share` of a Lorentzian, the rest a Gaussian.

    Parameters
    ----------
    offset
        Distance from the centre.
    width
        Full width at half maximum, in the unit of `offset`.
    share
        Of the Lorentzian, 0 to 1.

    Examples
    --------
    >>> x = np.linspace(-50, 50, 10001)
    >>> float((pseudo_voigt(x, 1.0, 0.0).sum() * 0.01).round(6))
    1.0
    >>> float(pseudo_voigt(0.5, 1.0, 0.3) / pseudo_voigt(0.0, 1.0, 0.3))
    0.5
    """
    x = (np.asarray(offset) / width) ** 2
    gauss = 2 * np.sqrt(LN2 / np.pi) * np.exp(-4 * LN2 * x)
    return (share * (2 / np.pi) / (1 + 4 * x) + (1 - share) * gauss) / width
