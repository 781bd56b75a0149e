"""`validate` and `describe`: a dataset against its schema."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import xarray as xr

from zeoarray import units
from zeoarray.errors import SchemaError, UnitError, nearest
from zeoarray.schema.common import U, X, Y, Z
from zeoarray.schema.model import KINDS, Schema, Var

POSITIONS = {var.name: var for var in (Z, Y, X, U)}
"""Dims that count um of the sample or the detector, in the order of a volume's."""


def positioned(dims: Iterable[str]) -> Schema:
    """Return the schema of any dataset that has positions along `dims`."""
    return Schema("dataset with positions", tuple(POSITIONS[dim] for dim in dims))


def validate(ds: xr.Dataset, schema: Schema, *, by: str) -> None:
    """Raise unless `ds` has what `schema` requires, and only right dims, kinds and units.

    Parameters
    ----------
    ds
        The dataset; nothing of it is computed.
    schema
        What is asked for. Variables that it does not name are left alone.
    by
        Who asks, as the message shall say it: ``"xct.reconstruct"``.

    Raises
    ------
    SchemaError
        Naming the first variable that is not as it should be, and what to do about it.
    """
    for var in schema.required:
        if var.name not in ds.variables:
            near = nearest(var.name, map(str, ds.variables))
            raise SchemaError(
                f"{by}: {schema.name} has no {var.name!r} ({var.doc}).",
                got=", ".join(map(str, ds.variables)) or "an empty dataset",
                expected=f"{var.name}{_dims(var.dims)}",
                do=f'ds.rename({near}="{var.name}") if that is what it is' if near else None,
            )
        _check(ds, var, by)
    for var in schema.optional:
        if var.name in ds.variables:
            _check(ds, var, by)


def _check(ds: xr.Dataset, var: Var, by: str) -> None:
    have = ds.variables[var.name]
    shown = f"{var.name} {dict(have.sizes) or 'scalar'} {have.dtype}, attrs {_attrs(have.attrs)}"
    role = "coordinate" if var.name in ds.coords else "variable"
    # A scalar may stand for a list, as one exposure for all frames; not for a dim or an image.
    scalar = not have.dims and len(var.dims) == 1 and var.name not in var.dims
    if have.dims != var.dims and not scalar:
        raise SchemaError(
            f"{by}: {role} {var.name!r} has the dims {_dims(have.dims)}.",
            got=shown,
            expected=_dims(var.dims),
            do=_way_to_dims(have, var),
        )
    if have.dtype.kind not in KINDS[var.kind]:
        raise SchemaError(
            f"{by}: {role} {var.name!r} has the dtype {have.dtype}.",
            got=shown,
            expected=f"a {var.kind} (dtype kinds {KINDS[var.kind]!r})",
            do=f'ds["{var.name}"] = ds["{var.name}"].astype("float32")'
            if var.kind == "float" and have.dtype.kind in "ui"
            else None,
        )
    # The order of frames may be all that is known of their times; it serves to interpolate.
    unit = have.attrs.get("units")
    if var.units not in (None, "1") and not (var.kind == "time" and unit == "1"):
        _check_units(var, f"{by}: {role} {var.name!r}", shown, unit)


def _way_to_dims(have: xr.Variable, var: Var) -> str | None:
    if set(have.dims) == set(var.dims):
        dims = ", ".join(f'"{d}"' for d in var.dims)
        return f'ds["{var.name}"] = ds["{var.name}"].transpose({dims})'
    lost = [d for d in var.dims if d not in have.dims]
    if len(lost) == 1 and len(have.dims) == len(var.dims) - 1:
        return f'keep the dim: ds.isel({lost[0]}=[0]), or ds.expand_dims("{lost[0]}")'
    return None


def _check_units(var: Var, subject: str, shown: str, unit: object) -> None:
    example = f'ds["{var.name}"].attrs["units"] = "{var.units}"'
    if unit is None:
        raise SchemaError(
            f"{subject} has no units.", got=shown, expected=f"units {var.units!r}", do=example
        )
    try:
        scale = units.factor(str(unit), str(var.units))
    except UnitError as error:
        raise SchemaError(
            f"{subject} has units {unit!r}.",
            got=shown,
            expected=f"units {var.units!r}",
            do=f"{example}, if its values are in {var.units}",
        ) from error
    if scale != 1.0:
        raise SchemaError(
            f"{subject} is in {unit}.",
            got=shown,
            expected=f"units {var.units!r}",
            do=f'ds["{var.name}"] = ds["{var.name}"] * {scale:g}; then {example}',
        )


def _dims(dims: Iterable[object]) -> str:
    return "(" + ", ".join(map(str, dims)) + ")"


def _attrs(attrs: Mapping[object, object]) -> dict[object, object]:
    return {k: v for k, v in attrs.items() if k in ("units", "long_name")}


def attrs_of(var: Var) -> dict[str, str]:
    """Return the attributes of a variable: its label, and its units where it has any."""
    return {"long_name": var.label or var.doc} | ({"units": var.units} if var.units else {})


def describe(ds: xr.Dataset, schema: Schema) -> xr.Dataset:
    """Return `ds` with the units and descriptions of `schema` on every variable it names.

    For whoever builds a dataset from values that are known to be in the schema's units. Times
    that are numbers of frames (units 1) stay so.
    """
    out = ds.copy(deep=False)
    for var in (*schema.required, *schema.optional):
        if var.name in out.variables:
            attrs = attrs_of(var)
            if var.kind == "time" and out[var.name].attrs.get("units") == "1":
                del attrs["units"]
            out[var.name].attrs.update(attrs)
    return out
