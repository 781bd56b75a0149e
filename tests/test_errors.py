"""Errors show the road, are builtins as well, and cross processes."""

from __future__ import annotations

import pickle

import pytest

from zeoarray import errors

ALL = [e for e in vars(errors).values() if isinstance(e, type) and issubclass(e, errors.ZeoError)]


def test_message_has_a_line_for_each_part() -> None:
    error = errors.SchemaError("no angle.", got="angle (3,)\nfloat64", expected="deg", do="say so")
    assert str(error) == (
        "no angle.\n"
        "  got:      angle (3,)\n"
        "            float64\n"
        "  expected: deg\n"
        "  do:       say so"
    )
    assert str(errors.ZeoError("only what")) == "only what"


def test_zero_is_said() -> None:
    assert "got:      0" in str(errors.ArgumentError("few", got=0))


@pytest.mark.parametrize("kind", ALL, ids=lambda e: e.__name__)
def test_errors_survive_pickling(kind: type[errors.ZeoError]) -> None:
    error = kind("what", got=1, expected="two", do="three")
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is kind
    assert str(again) == str(error)
    assert (again.got, again.expected, again.do) == (1, "two", "three")


@pytest.mark.parametrize("kind", [e for e in ALL if e is not errors.ZeoError])
def test_each_error_is_a_builtin_too(kind: type[errors.ZeoError]) -> None:
    assert issubclass(kind, (ValueError, TypeError, OSError, ImportError))


def test_unknown_offers_the_nearest() -> None:
    error = errors.unknown("step", "xct.normalise", ["xct.normalize", "volume.bin"])
    assert isinstance(error, errors.UnknownNameError)
    assert "there is no step 'xct.normalise'" in str(error)
    assert "one of volume.bin, xct.normalize" in str(error)
    assert "did you mean 'xct.normalize'?" in str(error)


def test_unknown_without_anything_near() -> None:
    error = errors.unknown("node", "qqq", [])
    assert "no node exists here" in str(error)
    assert error.do is None
