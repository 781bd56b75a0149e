"""What a kernel says about itself is checked where it is said."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from zeoarray.errors import ArgumentError, ContractError, UnknownNameError
from zeoarray.kernels import windows
from zeoarray.kernels.contract import KERNELS, Memory, contract_of, kernel, parse_signature


def double(array: Any, *, by: int = 2, width: int = 1) -> Any:
    return array * by


@pytest.mark.parametrize(
    ("signature", "inputs", "outputs"),
    [
        ("(n)->()", (("n",),), ((),)),
        ("(angle, u), (angle) -> (y, x)", (("angle", "u"), ("angle",)), (("y", "x"),)),
        ("(),(n)->(n),()", ((), ("n",)), (("n",), ())),
    ],
)
def test_signatures(signature: str, inputs: Any, outputs: Any) -> None:
    assert parse_signature(signature) == (inputs, outputs)


@pytest.mark.parametrize("signature", ["", "(n)", "n->n", "(n)->", "(n)=>(n)", "((n))->(n)"])
def test_signatures_that_cannot_be_read(signature: str) -> None:
    with pytest.raises(ContractError, match="cannot be read") as info:
        kernel(signature)
    assert "for example '(angle,u),(angle)->(y,x)'" in str(info.value)


def test_a_kernel_is_registered_and_stays_the_function_it_was() -> None:
    try:
        declared = kernel("(n)->(n)")(double)
        assert declared is double
        assert KERNELS["test_contract.double"] is contract_of(double)
        assert double(np.array([1.0]))[0] == 2.0
    finally:
        KERNELS.pop("test_contract.double", None)
        del double.contract  # type: ignore[attr-defined]


def test_what_is_no_kernel() -> None:
    with pytest.raises(ContractError, match="'len' is not a kernel") as info:
        contract_of(len)
    assert "@kernel" in str(info.value)


def two(one: Any, other: Any) -> Any:
    return one


def keywords(array: Any, **parameters: Any) -> Any:
    return array


@pytest.mark.parametrize(
    ("function", "signature", "options", "message"),
    [
        (two, "(n)->(n)", {}, "the signature and the function's arguments do not agree"),
        (keywords, "(n)->(n)", {}, "do not agree"),
        (double, "(n)->(m)", {}, r"output dims \['m'\] have no size"),
        (double, "(n)->(n)", {"dtype": ("float", "flag")}, "2 dtypes for 1 outputs"),
        (double, "(n,n)->(n)", {}, "a dim stands twice"),
        (double, "(n)->(n)", {"rows": {"center": ()}}, "rows= names 'center'"),
        (double, "(n)->(n)", {"halo": {"m": 1}}, "'m' may not be cut"),
        (double, "(n)->()", {"grain": {"n": 1}}, "'n' may not be cut"),
        (double, "(n)->(n)", {"together": 0}, "together= counts rows"),
    ],
)
def test_contradictions(
    function: Callable[..., Any], signature: str, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ContractError, match=message):
        kernel(signature, **options)(function)
    assert not hasattr(function, "contract")


def test_two_kernels_of_one_name() -> None:
    def bin_mean(array: Any) -> Any:
        return array

    bin_mean.__module__ = "elsewhere.windows"
    ours = contract_of(windows.bin_mean)
    with pytest.raises(ContractError, match=r"two kernels are called 'windows.bin_mean'"):
        kernel("(n)->(n)")(bin_mean)
    assert KERNELS["windows.bin_mean"] is ours


@pytest.fixture
def contract() -> Any:
    def scaled(array: Any, *, by: int, width: int = 1) -> Any:
        return array * by

    kernel(
        "(n)->(m),(n)",
        halo={},
        dtype=("float", "same"),
        sizes=lambda sizes, parameters: {"m": sizes["n"] * parameters["by"]},
    )(scaled)
    yield contract_of(scaled)
    KERNELS.pop("test_contract.scaled")


def test_parameters_are_completed(contract: Any) -> None:
    assert contract.resolve({"by": 3}) == {"by": 3, "width": 1}
    with pytest.raises(ArgumentError, match=r"test_contract.scaled needs the parameter 'by'"):
        contract.resolve({})
    with pytest.raises(UnknownNameError, match="scaled 'widht'") as e:
        contract.resolve({"by": 1, "widht": 2})
    assert "did you mean 'width'?" in str(e.value)


def test_sizes_and_dtypes_of_outputs(contract: Any) -> None:
    assert contract.output_sizes({"n": 4}, {"by": 3}) == {"m": 12, "n": 4}
    for given, made in (("uint16", "float32"), ("float32", "float32"), ("float64", "float64")):
        assert contract.output_dtype(0, np.dtype(given)) == made
        assert contract.output_dtype(1, np.dtype(given)) == given
    assert contract.memory({"n": 4, "batch": 1}, {}, 1) == Memory(0, 0)


def test_halo_and_grain_may_hang_on_parameters() -> None:
    def smooth(array: Any, *, width: int) -> Any:
        return array

    kernel("(z,u)->(z,u)", halo={"z": lambda p: p["width"] // 2, "u": 0}, grain={"z": 2})(smooth)
    try:
        declared = contract_of(smooth)
        assert declared.overlap({"width": 5}) == {"z": 2, "u": 0}
        assert declared.grains({"width": 5}) == {"z": 2}
    finally:
        KERNELS.pop("test_contract.smooth")
