"""Laboratory powder patterns: the format, the lines, the mixture."""

from __future__ import annotations

import re

import numpy as np
import pytest

from zeoarray.errors import UnknownNameError
from zeoarray.ingest import powder
from zeoarray.ingest.reader import Options
from zeoarray.twin import faujasite, powder_files


def _counts(text: str) -> np.ndarray:
    block = text.partition("*COUNT\t\t=")[2].partition("*END")[0]
    return np.array([int(n) for n in re.findall(r"\d+", block.partition("\n")[2])])


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory):
    return powder_files.write(tmp_path_factory.mktemp("powder"), 11)


def test_four_files_in_the_format_of_the_instrument(paths):
    assert set(paths) == {"13X", "Zn13X", "Zn13X_15min", "empty_capillary"}
    text = paths["13X"].read_bytes().decode("ascii")
    assert text.count("\n") == text.count("\r\n")
    assert text.endswith("*END\r\n\r\n*EOF\r\n")
    assert "*START\t\t=  4\r\n*STOP\t\t=  80\r\n*STEP\t\t=  0.01\r\n" in text
    assert "*COUNT\t\t=  7601\r\n" in text
    assert len(_counts(text)) == 7601
    assert int(re.findall(r"FULL_SCALE\t=  (\d+)", text)[0]) == _counts(text).max()


def test_the_format_is_that_of_a_measured_file_key_by_key(paths, real):
    def shape(text: str) -> list[str]:
        lines = text.split("\r\n")
        keys = [line.partition("=")[0] for line in lines if not line[:1].isdigit()]
        return keys + [re.sub(r"\d+", "0", line) for line in lines if line[:1].isdigit()]

    measured = (real / "powder" / "2Theta.asc").read_bytes().decode("ascii")
    assert shape(paths["13X"].read_bytes().decode("ascii")) == shape(measured)


@pytest.mark.parametrize(("name", "phase"), [("13X", "sodium"), ("Zn13X", "zinc")])
def test_lines_stand_where_the_lists_say(paths, name, phase):
    counts = _counts(paths[name].read_text(encoding="ascii")).astype(float)
    theta = np.deg2rad(powder_files.angles() / 2)
    q = 4 * np.pi / 1.5406 * np.sin(theta)
    for listed in faujasite.structure(phase).listed:
        if listed in (1.675, 2.881):
            continue  # at this resolution they are shoulders of stronger lines
        near = np.flatnonzero(np.abs(q - listed) < 0.004)
        peak = np.average(q[near], weights=(counts[near] - counts[near].min()) ** 2)
        assert peak == pytest.approx(listed, abs=1.2e-3)


def test_counts_are_poisson_and_keyed_by_seed_and_name(paths, tmp_path):
    again = powder_files.write(tmp_path / "a", 11)
    other = powder_files.write(tmp_path / "b", 12)
    for name, path in paths.items():
        assert again[name].read_bytes() == path.read_bytes()
        assert other[name].read_bytes() != path.read_bytes()
        expected = powder_files.expected(name)
        chi = (_counts(path.read_text(encoding="ascii")) - expected) ** 2 / expected
        assert chi.sum() == pytest.approx(7601, abs=4 * np.sqrt(2 * 7601))


def test_the_mixture_lies_between_its_parts_and_the_capillary_below():
    sodium, zinc, mixed, empty = (powder_files.expected(n) for n in powder_files.SPECIMENS)
    strong = sodium > 1.5 * np.median(sodium)
    # Absorption differs between the forms, so the sum is not exact.
    np.testing.assert_allclose(mixed[strong], (0.42 * sodium + 0.58 * zinc)[strong], rtol=0.05)
    assert (empty < 7000).all()
    assert empty.argmax() == pytest.approx(1700, abs=60)


def test_absorption_of_a_cylinder_against_a_sum_over_paths():
    rng = np.random.default_rng(0)
    for exponent, theta in ((0.3, 0.1), (0.8, 0.5)):
        x, y = rng.uniform(-1, 1, (2, 400000))
        inside = x**2 + y**2 < 1
        x, y = x[inside], y[inside]
        into = x + np.sqrt(1 - y**2)
        cos, sin = np.cos(2 * theta), np.sin(2 * theta)
        along, across = x * cos + y * sin, y * cos - x * sin
        out = np.sqrt(1 - across**2) - along
        share = np.exp(-exponent * (into + out)).mean()
        found = powder_files.cylinder_absorption(exponent, np.array([theta]))[0]
        assert found == pytest.approx(share, rel=0.01)


def test_the_reader_gives_the_pattern_back(paths):
    (reader,) = powder.READERS
    path = paths["Zn13X_15min"]
    assert reader.recognise(path)
    ds = reader.read(path, Options())
    np.testing.assert_array_equal(ds["intensity"], _counts(path.read_text(encoding="ascii")))
    np.testing.assert_allclose(ds["two_theta"], powder_files.angles())
    assert float(ds["wavelength"]) == pytest.approx(1.5406)


def test_a_specimen_that_is_not_there_is_named_with_the_nearest():
    with pytest.raises(UnknownNameError, match=r"specimen '13x'(?s:.*)did you mean '13X'"):
        powder_files.expected("13x")
