"""The angles of a scan, as a user gives them: numbers, or a text file with one on each line."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from zeoarray.errors import ArgumentError, MissingMetadataError, SourceError
from zeoarray.ingest.parts.finder import Account

Array = np.ndarray[Any, Any]

GIVEN = "the option 'angles'"


def read_angles(path: Path, lines: tuple[int, int] | None = None) -> Array:
    """Read angles [deg] from a text file.

    Parameters
    ----------
    path
        One number a line; blank lines and lines that begin with ``#`` hold none.
    lines
        First and past-the-last line, from 0 and counting every line.

    Raises
    ------
    SourceError
        For a file that cannot be read, or a line that is not one finite number.
    ArgumentError
        For lines that the file does not have.
    """
    try:
        text = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        raise SourceError(f"the angle file {path} does not exist", do="check the path") from None
    except (OSError, UnicodeDecodeError) as error:
        raise SourceError(
            f"the angle file {path} cannot be read",
            got=str(error),
            expected="a text file with one angle [deg] on each line",
        ) from None
    first, stop = lines or (0, len(text))
    if not 0 <= first < stop <= len(text):
        raise ArgumentError(
            f"{path} does not have the lines {first} to {stop}",
            expected=f"0 <= first < past-the-last <= {len(text)}",
            do=f"--angle-lines 0 {len(text)} for all of them",
        )
    found = []
    for number, line in enumerate(text[first:stop], first + 1):
        word = line.strip()
        if not word or word.startswith("#"):
            continue
        try:
            value = float(word)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise SourceError(
                f"{path}, line {number}: this is not an angle",
                got=repr(word[:60]),
                expected="one finite number [deg] on each line",
                do="leave other lines out with --angle-lines FIRST:PAST (from 0)",
            )
        found.append(value)
    return np.array(found)


def given(account: Account) -> tuple[Array, str] | None:
    """Return the angles [deg] that the user gives, and where they are from; None without.

    Raises
    ------
    ArgumentError
        For lines of an angle file, where none was given.
    """
    options = account.options
    if isinstance(options.angles, Path):
        account.use(options.angles)
        return read_angles(options.angles, options.angle_lines), str(options.angles)
    if options.angle_lines is not None:
        raise ArgumentError(
            "angle_lines chooses lines of an angle file, and none was given",
            got=f"angle_lines {options.angle_lines}",
            do="--angles FILE",
        )
    return None if options.angles is None else (np.array(options.angles, float), GIVEN)


def angles_of(account: Account, frames: int, *, numbered: Sequence[int] | None = None) -> Array:
    """Return one angle [deg] for each frame, from the options.

    Parameters
    ----------
    account
        The user's options; takes what was assumed.
    frames
        How many frames there are.
    numbered
        Numbers of the frames in their file names: where some are missing and the angles are those
        of the whole sequence, each frame takes the angle of its number.

    Raises
    ------
    MissingMetadataError
        Where no angles are given (unless ``partial``: then frames are counted).
    SourceError
        Where there are not as many angles as frames.
    """
    stated = given(account)
    if stated is None:
        if not account.options.partial:
            raise MissingMetadataError(
                f"{account.path}: the angles are needed and nowhere stated",
                got="no angles in the files or the options",
                do="--angles angles.txt, one [deg] on each line (in Python: angles=[...])",
            )
        account.note("no angles were given: 'angle' counts the frames")
        return np.arange(frames, dtype=float)
    found, where = stated
    if not np.isfinite(found).all():
        raise ArgumentError(f"{where} holds a value that is no number", expected="degrees")
    if len(found) == frames:
        return found
    if numbered is not None and len(numbered) == frames:
        step = math.gcd(*np.diff(numbered).tolist()) if frames > 1 else 1
        places = (np.array(numbered) - numbered[0]) // max(step, 1)
        if len(found) == places[-1] + 1:
            account.note("each frame takes the angle of its number; the sequence has gaps")
            return np.asarray(found[places])
    raise SourceError(
        f"{account.path}: the number of angles is not that of the frames",
        got=f"{len(found)} angles in {where}, {frames} frames",
        expected="one angle for each frame",
        do=f"--angle-lines FIRST:PAST to choose {frames} lines, counted from 0",
    )
