"""Columns of text: two-theta, intensity, and where there is a third column its sigma."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from zeoarray.errors import SourceError
from zeoarray.ingest.parts.rigaku import Pattern, lines_of

_COMMENTS = ("#", "!", "'", "/", "%", ";")


def read_xy(path: Path) -> list[Pattern]:
    """Read ``.xy`` or ``.xye``: two-theta [deg], intensity, sigma of the intensity.

    Lines that begin with one of ``# ! ' / % ;`` are comments; one line of words may stand before
    the numbers.

    Raises
    ------
    SourceError
        For a row of words, a row with another number of columns, angles that do not ascend, or
        a sigma that is negative.
    """
    rows: list[list[float]] = []
    notes = ["the first column is taken as two-theta [deg]"]
    for number, line in enumerate(lines_of(path), 1):
        words = line.replace(",", " ").split()
        if not words or words[0].startswith(_COMMENTS):
            continue
        row = _row(words)
        if not row and not rows and len(notes) == 1:
            notes.append(f"a heading: {line.strip()[:60]!r}")
            continue
        if len(row) not in (2, 3) or (rows and len(row) != len(rows[0])):
            raise SourceError(
                f"{path}, line {number}: this is no row of the pattern",
                got=line.strip()[:60],
                expected=f"{len(rows[0]) if rows else '2 or 3'} numbers, as in the other rows",
            )
        rows.append(row)
    values = np.array(rows, dtype=float)
    if len(values) < 2 or not np.isfinite(values).all():
        raise SourceError(
            f"{path} holds no pattern",
            got=f"{len(values)} rows" if len(values) < 2 else "values that are no finite numbers",
            expected="rows of two-theta, intensity (, sigma)",
        )
    if (np.diff(values[:, 0]) <= 0).any():
        row_number = int(np.argmax(np.diff(values[:, 0]) <= 0)) + 1
        raise SourceError(
            f"{path}: two-theta does not ascend",
            got=f"{values[row_number, 0]:g} after {values[row_number - 1, 0]:g}",
        )
    variance = None
    if values.shape[1] == 3:
        if (values[:, 2] < 0).any():
            raise SourceError(f"{path}: a sigma is negative", expected="0 or more")
        variance = np.square(values[:, 2])
        notes.append("the third column is taken as sigma")
    else:
        notes.append("there is no third column: the variance is not known")
    return [Pattern(path.stem, values[:, 0], values[:, 1], variance, unit="1", notes=notes)]


def _row(words: list[str]) -> list[float]:
    try:
        return [float(word) for word in words]
    except ValueError:
        return []
