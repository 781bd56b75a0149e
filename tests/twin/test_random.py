"""Random numbers depend on seed, stream, frame and row, and on nothing else."""

from __future__ import annotations

import numpy as np
import pytest

from zeoarray.errors import ArgumentError
from zeoarray.twin.random import generator, stream_id


def test_same_key_same_numbers():
    first = generator(5, "photons", frame=3, row=7).poisson(40.0, 500)
    generator(5, "photons", frame=2, row=7).poisson(40.0, 10_000)
    assert np.array_equal(first, generator(5, "photons", frame=3, row=7).poisson(40.0, 500))


@pytest.mark.parametrize(
    "other",
    [(6, "photons", 3, 7), (5, "readout", 3, 7), (5, "photons", 4, 7), (5, "photons", 3, 8)],
)
def test_any_other_key_gives_independent_numbers(other):
    first = generator(5, "photons", 3, 7).standard_normal(20_000)
    second = generator(*other).standard_normal(20_000)
    # Five sigma of the correlation of independent samples.
    assert abs(np.corrcoef(first, second)[0, 1]) < 5 / 20_000**0.5


def test_rows_do_not_run_into_each_other():
    rows = [generator(0, "s", 0, row).integers(2**63, size=1000) for row in range(50)]
    assert len(np.unique(rows)) == 50_000


def test_streams_have_the_same_numbers_for_ever():
    assert stream_id("photons") == 14075341494390605522
    assert generator(1, "photons").integers(1000, size=4).tolist() == [255, 573, 156, 903]


@pytest.mark.parametrize("seed", [-1, 2**63, 1.5, True, "1"])
def test_what_is_no_seed_is_refused(seed):
    with pytest.raises(ArgumentError, match="the seed cannot be used") as error:
        generator(seed, "s")
    assert "an integer from 0 to 2**63 - 1" in str(error.value)
