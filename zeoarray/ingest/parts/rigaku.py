"""Rigaku's text formats: ``.asc`` (``*BEGIN`` to ``*END`` a scan) and ``.ras``."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from zeoarray.errors import SourceError

Array = np.ndarray[Any, Any]

_KEPT_ASC = {"TARGET": "target", "FILTER": "filter", "KV": "voltage_kv", "MA": "current_ma",
             "SPEED": "speed", "SPEED_DIM": "speed_unit", "DATE": "date",
             "MEMO": "memo"}  # fmt: skip
_KEPT_RAS = {"HW_XG_TARGET_NAME": "target", "MEAS_COND_XG_VOLTAGE": "voltage_kv",
             "MEAS_COND_XG_CURRENT": "current_ma", "MEAS_SCAN_SPEED": "speed",
             "MEAS_SCAN_SPEED_UNIT": "speed_unit", "MEAS_SCAN_START_TIME": "date"}  # fmt: skip


@dataclass(eq=False)
class Pattern:
    """One scan of a file."""

    name: str
    two_theta: Array
    """Scattering angle [deg]."""
    intensity: Array
    variance: Array | None = None
    unit: str = "counts"
    wavelength: float | None = None
    """K-alpha1, or whatever the beam is [angstrom]."""
    k_alpha2: float | None = None
    notes: list[str] = field(default_factory=list)
    attrs: dict[str, str] = field(default_factory=dict)

    @property
    def shown(self) -> str:
        """Name, range and number of points, for lists."""
        ends = f"{self.two_theta[0]:g} to {self.two_theta[-1]:g} deg"
        return f"{self.name or '(no name)'}, {ends}, {len(self.two_theta)} points"


def lines_of(path: Path) -> list[str]:
    """Read a text file that may hold Japanese in whatever encoding: only ASCII is looked at."""
    try:
        with open(path, encoding="cp932", errors="replace") as file:
            return file.read().splitlines()
    except OSError as error:
        raise SourceError(f"{path} cannot be read", got=error.strerror) from None


def poisson(counts: Array, factor: Array | float = 1.0) -> Array:
    """Variance of ``factor * counts``; of no count it is taken as that of one."""
    return np.maximum(counts, 1.0) * np.square(factor)


# --- .asc -----------------------------------------------------------------------------------


def read_asc(path: Path) -> list[Pattern]:
    """Read every scan of a Rigaku ``.asc`` file.

    Angles are START + STEP * i. `COUNT` says how many values follow it (`COUNTER`, earlier in the
    file, is the detector).

    Raises
    ------
    SourceError
        For a scan without its end, with another number of values than it says, or that does not
        run in two-theta.
    """
    header: dict[str, str] = {}
    found: list[Pattern] = []
    scan: dict[str, str] | None = None
    words: list[str] = []
    for number, line in enumerate(lines_of(path), 1):
        text = line.strip()
        if not text.startswith("*"):
            if scan is not None and "COUNT" in scan:
                words += text.replace(",", " ").split()
            elif text and scan is not None:
                raise SourceError(
                    f"{path}, line {number}: values before their *COUNT", got=text[:60]
                )
            continue
        key, _, value = text[1:].partition("=")
        key, value = key.strip(), value.strip()
        if key == "BEGIN" and scan is None:
            scan, words = {}, []
        elif key == "END" and scan is not None:
            found.append(_asc_scan(path, len(found), header, scan, words))
            scan = None
        elif key in ("BEGIN", "EOF", "TYPE") and scan is not None:
            break
        else:
            # Keys before the first *BEGIN hold for all scans; a second file may be appended.
            (header if scan is None else scan)[key] = value
    if scan is not None:
        raise SourceError(
            f"{path}: scan {len(found)} has no *END",
            got=f"{len(words)} of {scan.get('COUNT', 'an unknown number of')} values",
            do="the file is torn: fetch or export it again",
        )
    if not found:
        raise SourceError(
            f"{path} holds no scan", expected="*BEGIN ... *COUNT = n, values ... *END"
        )
    return found


def _asc_scan(
    path: Path, index: int, header: dict[str, str], scan: dict[str, str], words: list[str]
) -> Pattern:
    where = f"{path}, scan {index}"
    values = _numbers(where, words)
    start, stop, step = (_number(where, scan, key) for key in ("START", "STOP", "STEP"))
    count = round(_number(where, scan, "COUNT"))
    if len(values) != count:
        raise SourceError(
            f"{where}: the number of values is not what *COUNT says",
            got=f"{len(values)} values",
            expected=f"{count}",
            do="the file is torn: fetch or export it again",
        )
    _runs_in_two_theta(where, header.get("SCAN_AXIS", "2theta"))
    notes: list[str] = []
    if step <= 0 or count == 0:
        raise SourceError(f"{where}: there is nothing to read", got=f"STEP {step:g}, COUNT {count}")
    expected = round((stop - start) / step) + 1
    if expected != count:
        notes.append(
            f"the scan ends at {start + step * (count - 1):g} deg, not at its STOP of {stop:g} deg"
        )
    offset = float(scan.get("OFFSET", "0") or 0)
    if offset:
        notes.append(f"the file states an OFFSET of {offset:g} deg, which is not applied")
    unit = header.get("YUNIT", "counts").lower()
    pattern = Pattern(
        name=header.get("SAMPLE", ""),
        two_theta=start + step * np.arange(count),
        intensity=values,
        unit="counts" if unit.startswith("count") else "1/s",
        wavelength=_maybe(header.get("WAVE_LENGTH1")),
        k_alpha2=_maybe(header.get("WAVE_LENGTH2")),
        notes=notes,
        attrs=_kept({**header, **scan}, _KEPT_ASC),
    )
    seconds = _maybe(scan.get("SPEED")) if "sec" in header.get("SPEED_DIM", "") else None
    return _with_variance(pattern, seconds)


def _with_variance(pattern: Pattern, seconds: float | None, factor: Array | float = 1.0) -> Pattern:
    if pattern.unit == "counts":
        pattern.variance = poisson(pattern.intensity / factor, factor)
    elif seconds:
        pattern.variance = poisson(pattern.intensity / factor * seconds, factor) / seconds**2
        pattern.notes.append(f"counts a second, counted for {seconds:g} s at each step")
    else:
        pattern.notes.append("counts a second for an unknown time: the variance is not known")
    return pattern


def _runs_in_two_theta(where: str, axis: str) -> None:
    if "2theta" not in axis.lower().replace("-", "") and "twotheta" not in axis.lower():
        raise SourceError(
            f"{where} does not run in two-theta",
            got=f"a scan of {axis!r}",
            expected="two-theta, alone or with theta or omega",
        )


def _numbers(where: str, words: list[str]) -> Array:
    try:
        values = np.array(words, dtype=float)
    except ValueError as error:
        raise SourceError(f"{where}: a value is not a number", got=str(error)) from None
    if not np.isfinite(values).all():
        raise SourceError(f"{where}: a value is not finite", got=f"value {values.argmin()}")
    return values


def _number(where: str, scan: dict[str, str], key: str) -> float:
    value = _maybe(scan.get(key))
    if value is None:
        raise SourceError(
            f"{where}: *{key} is not there, or no number", got=scan.get(key), expected="a number"
        )
    return value


def _maybe(text: str | None) -> float | None:
    try:
        value = float(text or "nan")
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _kept(stated: dict[str, str], wanted: dict[str, str]) -> dict[str, str]:
    return {name: stated[key] for key, name in wanted.items() if stated.get(key)}


# --- .ras -----------------------------------------------------------------------------------


def read_ras(path: Path) -> list[Pattern]:
    """Read every scan of a Rigaku ``.ras`` file: two-theta, intensity, attenuation factor.

    Intensities are multiplied by the factor of the attenuator, and their variance by its square.

    Raises
    ------
    SourceError
        For a scan without its end, with another number of points than it says, or that does not
        run in two-theta.
    """
    header: dict[str, str] = {}
    rows: list[str] | None = None
    found: list[Pattern] = []
    for line in lines_of(path):
        text = line.strip()
        if text == "*RAS_HEADER_START":
            header = {}
        elif text == "*RAS_INT_START":
            rows = []
        elif text == "*RAS_INT_END" and rows is not None:
            found.append(_ras_scan(path, len(found), header, rows))
            rows = None
        elif rows is not None:
            rows.append(text)
        elif text.startswith("*"):
            key, _, value = text[1:].partition(" ")
            header[key] = value.strip().strip('"')
    if rows is not None:
        raise SourceError(
            f"{path}: scan {len(found)} has no *RAS_INT_END",
            got=f"{len(rows)} points",
            do="the file is torn: fetch or export it again",
        )
    if not found:
        raise SourceError(f"{path} holds no scan", expected="*RAS_INT_START ... *RAS_INT_END")
    return found


def _ras_scan(path: Path, index: int, header: dict[str, str], rows: list[str]) -> Pattern:
    where = f"{path}, scan {index}"
    split = [row.split() for row in rows if row]
    if not split or {len(row) for row in split} != {3}:
        odd = next((row for row in split if len(row) != 3), [])
        raise SourceError(
            f"{where}: a row does not have three values",
            got=" ".join(odd) or "no rows",
            expected="two-theta, intensity, attenuation factor",
        )
    values = _numbers(where, [word for row in split for word in row]).reshape(-1, 3)
    stated = _maybe(header.get("MEAS_DATA_COUNT"))
    if stated is not None and round(stated) != len(values):
        raise SourceError(
            f"{where}: the number of points is not what MEAS_DATA_COUNT says",
            got=f"{len(values)} points",
            expected=f"{round(stated)}",
            do="the file is torn: fetch or export it again",
        )
    axis = header.get("MEAS_SCAN_AXIS_X_INTERNAL", header.get("MEAS_SCAN_AXIS_X", "TwoTheta"))
    _runs_in_two_theta(where, axis)
    two_theta, factor = values[:, 0], values[:, 2]
    if (np.diff(two_theta) <= 0).any():
        raise SourceError(f"{where}: two-theta does not ascend", expected="ascending angles")
    unit = header.get("MEAS_SCAN_UNIT_Y", "counts").lower()
    pattern = Pattern(
        name=header.get("FILE_SAMPLE", ""),
        two_theta=two_theta,
        intensity=values[:, 1] * factor,
        unit="counts" if unit.startswith("count") else "1/s",
        wavelength=_maybe(header.get("HW_XG_WAVE_LENGTH_ALPHA1")),
        k_alpha2=_maybe(header.get("HW_XG_WAVE_LENGTH_ALPHA2")),
        attrs=_kept(header, _KEPT_RAS),
    )
    if (factor != 1).any():
        pattern.notes.append(f"multiplied by the attenuator's factor, up to {factor.max():g}")
    return _with_variance(pattern, _step_seconds(header), factor)


def _step_seconds(header: dict[str, str]) -> float | None:
    step, speed = _maybe(header.get("MEAS_SCAN_STEP")), _maybe(header.get("MEAS_SCAN_SPEED"))
    unit = header.get("MEAS_SCAN_SPEED_UNIT", "")
    if not step or not speed:
        return None
    return {"deg/min": 60 * step / speed, "sec/step": speed, "sec": speed}.get(unit.lower())
