"""Powder patterns as text: Rigaku .asc and .ras, .xy and .xye."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from zeoarray import schema
from zeoarray.errors import ArgumentError, MissingMetadataError, SourceError, UnknownNameError
from zeoarray.ingest import powder
from zeoarray.ingest.reader import Options

COUNTS = [767, 794, 798, 809, 805, 785, 0]
LAMBDA = 1.54059

HEADER = """*TYPE\t\t=  Raw
*CLASS\t\t=  ASCII CLASS
*SAMPLE\t\t=  {sample}
*COUNTER\t=  SC-70, 0
*SCAN_AXIS\t=  {axis}
*WAVE_LENGTH1\t=  1.54059
*WAVE_LENGTH2\t=  1.54441
*SPEED_DIM\t=  sec./step
*XUNIT\t\t=  deg.
*YUNIT\t\t=  {unit}
"""


def scan(counts: list[int], start: float = 4, step: float = 0.01, **more: object) -> str:
    stop = more.pop("stop", round(start + step * (len(counts) - 1), 6))
    count = more.pop("count", len(counts))
    lines = [", ".join(map(str, counts[i : i + 4])) for i in range(0, len(counts), 4)]
    stated = "".join(f"*{key}\t\t=  {value}\n" for key, value in more.items())
    return (
        f"*BEGIN\n*GROUP\t\t=  0\n*START\t\t=  {start}\n*STOP\t\t=  {stop}\n*STEP\t\t=  {step}\n"
        f"*SPEED\t\t=  2.0\n{stated}*COUNT\t\t=  {count}\n" + "\n".join(lines) + "\n*END\n"
    )


def asc(
    path: Path, *scans: str, sample: str = "13X", axis: str = "2theta/theta", unit: str = "counts"
) -> Path:
    text = HEADER.format(sample=sample, axis=axis, unit=unit) + "\n".join(scans) + "\n*EOF\n"
    path.write_text(text, encoding="cp932", newline="\r\n")
    return path


# --- .asc ---------------------------------------------------------------------------------------


def test_one_scan(tmp_path: Path) -> None:
    path = asc(tmp_path / "a.asc", scan(COUNTS))
    assert powder.recognise(path)
    ds = powder.read(path, Options())
    schema.validate(ds, schema.POWDER, by="test")
    two_theta = 4 + 0.01 * np.arange(7)
    np.testing.assert_array_equal(ds["two_theta"], two_theta)
    np.testing.assert_array_equal(ds["intensity"], COUNTS)
    # Nothing counted is as uncertain as one count.
    np.testing.assert_array_equal(ds["variance"], [*COUNTS[:-1], 1])
    q = 4 * np.pi * np.sin(np.deg2rad(two_theta / 2)) / LAMBDA
    np.testing.assert_allclose(ds["q"], q, rtol=1e-15)
    assert float(ds["wavelength"]) == LAMBDA
    assert ds["wavelength"].attrs["k_alpha2"] == 1.54441
    assert ds["intensity"].attrs["units"] == "counts"
    assert ds.attrs["sample"] == "13X"


def test_several_scans_are_never_joined(tmp_path: Path) -> None:
    path = asc(tmp_path / "a.asc", scan(COUNTS), scan(COUNTS[::-1], start=20.0, step=0.02))
    with pytest.raises(SourceError, match="holds 2 scans") as caught:
        powder.read(path, Options())
    assert "0: 13X, 4 to 4.06 deg, 7 points" in str(caught.value)
    assert "1: 13X, 20 to 20.12 deg, 7 points" in str(caught.value)
    ds = powder.read(path, Options(dataset="1"))
    np.testing.assert_array_equal(ds["intensity"], COUNTS[::-1])
    np.testing.assert_allclose(ds["two_theta"], 20 + 0.02 * np.arange(7))
    assert any("scan 1 of 2" in note for note in ds.attrs["notes"])
    with pytest.raises(ArgumentError, match="has no scan 2"):
        powder.read(path, Options(dataset="2"))
    with pytest.raises(ArgumentError, match="2 scans are called '13X'"):
        powder.read(path, Options(dataset="13X"))


def test_a_scan_by_the_name_of_its_sample(tmp_path: Path) -> None:
    one = asc(tmp_path / "a.asc", scan(COUNTS), sample="13X").read_bytes()
    two = asc(tmp_path / "b.asc", scan(COUNTS[::-1]), sample="Zn13X").read_bytes()
    (tmp_path / "c.asc").write_bytes(one + two)
    ds = powder.read(tmp_path / "c.asc", Options(dataset="Zn13X"))
    np.testing.assert_array_equal(ds["intensity"], COUNTS[::-1])
    with pytest.raises(UnknownNameError, match="did you mean 'Zn13X'"):
        powder.read(tmp_path / "c.asc", Options(dataset="Zn13"))


def test_a_given_wavelength_goes_first(tmp_path: Path) -> None:
    ds = powder.read(asc(tmp_path / "a.asc", scan(COUNTS)), Options(wavelength=1.5406))
    assert float(ds["wavelength"]) == 1.5406
    assert "k_alpha2" not in ds["wavelength"].attrs


def test_counts_a_second_are_uncertain_by_their_time(tmp_path: Path) -> None:
    ds = powder.read(asc(tmp_path / "a.asc", scan(COUNTS), unit="cps"), Options())
    np.testing.assert_allclose(ds["variance"][:6], np.array(COUNTS[:6]) / 2.0)
    assert ds["intensity"].attrs["units"] == "1/s"


def test_an_aborted_scan_and_an_offset_are_noted(tmp_path: Path) -> None:
    ds = powder.read(asc(tmp_path / "a.asc", scan(COUNTS, stop=80, OFFSET=0.05)), Options())
    assert ds.sizes["q"] == 7
    assert "the scan ends at 4.06 deg, not at its STOP of 80 deg" in ds.attrs["notes"]
    assert any("OFFSET of 0.05 deg" in note for note in ds.attrs["notes"])


def test_the_number_of_values_is_checked(tmp_path: Path) -> None:
    path = asc(tmp_path / "a.asc", scan(COUNTS, count=8))
    with pytest.raises(SourceError, match=r"is not what \*COUNT says") as caught:
        powder.read(path, Options())
    assert "7 values" in str(caught.value)


def test_a_torn_file(tmp_path: Path) -> None:
    path = asc(tmp_path / "a.asc", scan(COUNTS))
    path.write_bytes(path.read_bytes().partition(b"805")[0])
    with pytest.raises(SourceError, match=r"scan 0 has no \*END") as caught:
        powder.read(path, Options())
    assert "4 of 7 values" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (scan(COUNTS).replace("794", "many"), "a value is not a number"),
        (scan(COUNTS).replace("794", "inf"), "a value is not finite"),
        (scan(COUNTS).replace("*START\t\t=  4", "*START\t\t=  four"), r"\*START is not there"),
        (scan(COUNTS, step=0.01).replace("*STEP\t\t=  0.01", "*STEP\t\t=  0"), "nothing to read"),
        (scan(COUNTS).replace("*COUNT", "*CUONT"), "values before their"),
        ("", "holds no scan"),
    ],
)
def test_what_else_may_be_wrong(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(SourceError, match=message):
        powder.read(asc(tmp_path / "a.asc", text), Options())


def test_a_rocking_curve_has_no_q(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="does not run in two-theta") as caught:
        powder.read(asc(tmp_path / "a.asc", scan(COUNTS), axis="Omega"), Options())
    assert "'Omega'" in str(caught.value)


def test_other_asc_files_are_not_recognised(tmp_path: Path) -> None:
    (tmp_path / "a.asc").write_text("ncols 10\nnrows 10\n", encoding="utf-8")
    assert not powder.recognise(tmp_path / "a.asc")
    assert not powder.recognise(tmp_path / "gone.asc")
    assert not powder.recognise(tmp_path)


# --- .ras ---------------------------------------------------------------------------------------


def ras(path: Path, rows: str, *, count: int, unit: str = "counts", axis: str = "TwoTheta") -> Path:
    path.write_text(
        '*RAS_DATA_START\n*RAS_HEADER_START\n*FILE_SAMPLE "Zn"\n'
        '*HW_XG_WAVE_LENGTH_ALPHA1 "1.540593"\n*HW_XG_WAVE_LENGTH_ALPHA2 "1.544414"\n'
        f'*MEAS_DATA_COUNT "{count}.0000000000"\n*MEAS_SCAN_AXIS_X_INTERNAL "{axis}"\n'
        f'*MEAS_SCAN_UNIT_Y "{unit}"\n*MEAS_SCAN_STEP "0.0200"\n*MEAS_SCAN_SPEED "0.2400"\n'
        '*MEAS_SCAN_SPEED_UNIT "deg/min"\n*RAS_HEADER_END\n*RAS_INT_START\n'
        f"{rows}*RAS_INT_END\n*RAS_DATA_END\n",
        encoding="cp932",
    )
    return path


ROWS = "2.00 100.0 1.0\n2.02 50.0 2.0\n2.04 30.0 2.0\n"


def test_an_attenuator_scales_intensity_and_variance(tmp_path: Path) -> None:
    path = ras(tmp_path / "a.ras", ROWS, count=3)
    assert powder.recognise(path)
    ds = powder.read(path, Options())
    schema.validate(ds, schema.POWDER, by="test")
    np.testing.assert_array_equal(ds["intensity"], [100, 100, 60])
    np.testing.assert_array_equal(ds["variance"], [100, 200, 120])
    assert "multiplied by the attenuator's factor, up to 2" in ds.attrs["notes"]
    assert float(ds["wavelength"]) == 1.540593


def test_ras_in_counts_a_second(tmp_path: Path) -> None:
    # 0.02 deg at 0.24 deg a minute are 5 s.
    ds = powder.read(ras(tmp_path / "a.ras", ROWS, count=3, unit="cps"), Options())
    np.testing.assert_allclose(ds["variance"], [100 / 5, 50 * 4 / 5, 30 * 4 / 5])


def test_several_ras_scans(tmp_path: Path) -> None:
    one = ras(tmp_path / "a.ras", ROWS, count=3).read_text(encoding="cp932")
    (tmp_path / "a.ras").write_text(one + one.replace("2.0", "3.0"), encoding="cp932")
    with pytest.raises(SourceError, match="holds 2 scans"):
        powder.read(tmp_path / "a.ras", Options())


@pytest.mark.parametrize(
    ("rows", "count", "axis", "message"),
    [
        (ROWS, 4, "TwoTheta", "is not what MEAS_DATA_COUNT says"),
        (ROWS + "2.06 1.0\n", 4, "TwoTheta", "a row does not have three values"),
        (ROWS + "2.00 1.0 1.0\n", 4, "TwoTheta", "two-theta does not ascend"),
        (ROWS, 3, "Omega", "does not run in two-theta"),
        ("", 0, "TwoTheta", "a row does not have three values"),
    ],
)
def test_what_is_wrong_with_a_ras(
    tmp_path: Path, rows: str, count: int, axis: str, message: str
) -> None:
    with pytest.raises(SourceError, match=message):
        powder.read(ras(tmp_path / "a.ras", rows, count=count, axis=axis), Options())


def test_a_torn_ras(tmp_path: Path) -> None:
    path = ras(tmp_path / "a.ras", ROWS, count=3)
    path.write_text(path.read_text("cp932").partition("2.04")[0], encoding="cp932")
    with pytest.raises(SourceError, match=r"has no \*RAS_INT_END"):
        powder.read(path, Options())
    path.write_text("*RAS_DATA_START\n", encoding="utf-8")
    with pytest.raises(SourceError, match="holds no scan"):
        powder.read(path, Options())


# --- .xy, .xye ----------------------------------------------------------------------------------


def columns(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_three_columns(tmp_path: Path) -> None:
    path = columns(tmp_path / "a.xye", "# I11\n10.0 100.0 10.0\n10.1, 81.0, 9.0\n10.2 64 8\n")
    assert powder.recognise(path)
    ds = powder.read(path, Options(wavelength=0.824))
    schema.validate(ds, schema.POWDER, by="test")
    np.testing.assert_array_equal(ds["intensity"], [100, 81, 64])
    np.testing.assert_array_equal(ds["variance"], [100, 81, 64])
    assert "the first column is taken as two-theta [deg]" in ds.attrs["notes"]


def test_two_columns_have_no_variance(tmp_path: Path) -> None:
    path = columns(tmp_path / "a.xy", "2theta I\n10.0 100.0\n10.1 81.0\n")
    ds = powder.read(path, Options(energy=15.0))
    assert "variance" not in ds
    assert "there is no third column: the variance is not known" in ds.attrs["notes"]
    assert "a heading: '2theta I'" in ds.attrs["notes"]


def test_the_wavelength_is_needed(tmp_path: Path) -> None:
    path = columns(tmp_path / "a.xy", "10.0 100.0\n10.1 81.0\n")
    with pytest.raises(MissingMetadataError, match="wavelength is needed") as caught:
        powder.read(path, Options())
    assert "--wavelength" in str(caught.value)
    ds = powder.read(path, Options(partial=True))
    assert ds["intensity"].dims == ("two_theta",)


def test_a_crop(tmp_path: Path) -> None:
    path = columns(tmp_path / "a.xy", "10.0 100.0\n10.1 81.0\n10.2 9\n")
    ds = powder.read(path, Options(wavelength=1.0, crop={"q": (1, 3)}))
    np.testing.assert_array_equal(ds["intensity"], [81, 9])
    with pytest.raises(UnknownNameError, match="no dim to crop here 'z'"):
        powder.read(path, Options(wavelength=1.0, crop={"z": (1, 3)}))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("10 1 1\nten 1 1\n", "line 2: this is no row of the pattern"),
        ("10 1 1\n11 1\n", "line 2: this is no row of the pattern"),
        ("10 1 1 1 1\n", "line 1: this is no row of the pattern"),
        ("some words\nmore words\n", "line 2: this is no row of the pattern"),
        ("", "holds no pattern"),
        ("10 1\n11 nan\n", "holds no pattern"),
        ("10 1\n9 1\n", "two-theta does not ascend"),
        ("10 1 1\n11 1 -1\n", "a sigma is negative"),
    ],
)
def test_what_is_wrong_with_columns(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(SourceError, match=message):
        powder.read(columns(tmp_path / "a.xye", text), Options(wavelength=1.0))


def test_a_binary_file_is_not_recognised(tmp_path: Path) -> None:
    (tmp_path / "a.xy").write_bytes(b"\x00\x01\x02")
    assert not powder.recognise(tmp_path / "a.xy")


# --- real files ---------------------------------------------------------------------------------


@pytest.mark.real
def test_a_real_asc(real: Path) -> None:
    path = real / "powder" / "2Theta.asc"
    ds = powder.read(path, Options())
    assert ds.sizes["q"] == 7601
    assert [float(ds["two_theta"][i]) for i in (0, -1)] == pytest.approx([4, 80])
    assert [int(v) for v in ds["intensity"][:4]] == [767, 794, 798, 809]
    assert int(ds["intensity"][-1]) == 570
    assert float(ds["wavelength"]) == LAMBDA
    assert ds.attrs["sample"] == "JC170705CuPcAuCrSi5"


@pytest.mark.real
def test_a_real_ras(real: Path) -> None:
    path = real / "powder" / "MB120718Si3.ras"
    ds = powder.read(path, Options())
    rows = [
        line.split()
        for line in path.read_text("latin-1").splitlines()
        if line[:1].isdigit() and len(line.split()) == 3
    ]
    values = np.array(rows, float)
    np.testing.assert_array_equal(ds["two_theta"], values[:, 0])
    np.testing.assert_array_equal(ds["intensity"], values[:, 1] * values[:, 2])
    assert ds.sizes["q"] == 1401


@pytest.mark.real
def test_a_real_xye(real: Path) -> None:
    path = real / "powder" / "1410696_summed_mythen3.xye"
    ds = powder.read(path, Options(wavelength="0.824 angstrom"))
    values = np.loadtxt(path)
    np.testing.assert_array_equal(ds["intensity"], values[:, 1])
    np.testing.assert_array_equal(ds["variance"], values[:, 2] ** 2)
    np.testing.assert_array_equal(ds["two_theta"], values[:, 0])
