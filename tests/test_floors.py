"""The floors of the house: a module imports from lower floors only. An AST walk, nothing runs."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import zeoarray

PACKAGE = Path(__file__).parents[1] / "zeoarray"

# From the ground up. A unit is a module or a package, named below `zeoarray`; inside a package
# imports are free. Units of one floor do not import each other.
FLOORS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("0 errors", ("errors",)),
    ("0 leaves", ("units", "backend", "buffers", "step")),
    ("1 kernels", ("kernels",)),
    ("2a names and integers", ("schema", "chunks")),
    ("2b blocks", ("at_once", "graph", "lazy")),
    ("2b bridge and store", ("labelled", "store")),
    ("2c axis", ("positions",)),
    ("3 verbs, readers, twin", ("ingest", "twin", "xct", "xrdct", "volume", "patches", "quality")),
    ("4 pipelines", ("pipeline", "convert")),
    ("5a where to run, what to show", ("cluster", "plot", "export", "torch")),
    ("5b all of it on a page", ("report",)),
    ("6 command line", ("cli",)),
    ("7 top", ("__main__", "__init__")),
)
FLOOR = {unit: i for i, (_, units) in enumerate(FLOORS) for unit in units}

# Library -> the units that may import it.
ONLY_IN = {
    "dask": ("graph", "labelled", "store", "pipeline", "cluster"),
    "distributed": ("pipeline", "cluster"),
    "zarr": ("store", "torch"),
    "zarrs": ("store", "torch"),
    "h5py": ("ingest", "twin", "export"),
    "hdf5plugin": ("ingest", "twin", "export"),
    "pydantic": ("step", "pipeline", "cluster", "ingest"),
    "click": ("cli", "__main__"),
    "torch": ("torch",),
}
LOWEST_XARRAY = FLOOR["schema"]

# What may be imported inside a function: packages that need not be installed, and pyFAI, whose
# import takes longer than looking at a file, and which only files with a geometry need.
OPTIONAL = {"pyFAI", "cupy", "cupyx", "cufinufft", "torch", "tensorstore", "matplotlib",
            "SimpleITK", "xraylib", "dask_cuda", "dask_jobqueue", "dask_kubernetes"}  # fmt: skip

LONGEST_MODULE = 400


@dataclass(frozen=True)
class Import:
    """One imported name."""

    file: Path
    line: int
    name: str
    """Dotted, as far as a module goes: ``zeoarray.kernels.windows``."""
    inside: str | None
    """The function that it stands in."""

    @property
    def unit(self) -> str:
        return unit_of(self.file)

    @property
    def root(self) -> str:
        return self.name.partition(".")[0]

    @property
    def imported_unit(self) -> str | None:
        """Our unit that is imported; ``__init__`` for a name of the package itself."""
        if self.root != "zeoarray":
            return None
        parts = self.name.split(".")
        return parts[1] if len(parts) > 1 and parts[1] in FLOOR else "__init__"

    def __str__(self) -> str:
        return f"{self.file.relative_to(PACKAGE.parent)}:{self.line}"


def unit_of(file: Path) -> str:
    return file.relative_to(PACKAGE).parts[0].removesuffix(".py")


def files() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def imports(file: Path) -> Iterator[Import]:
    yield from _walk(ast.parse(file.read_text(encoding="utf-8")), file, None)


def _walk(node: ast.AST, file: Path, inside: str | None) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            for alias in child.names:
                yield Import(file, child.lineno, alias.name, inside)
        elif isinstance(child, ast.ImportFrom):
            assert not child.level, f"{file}:{child.lineno}: imports are absolute"
            for alias in child.names:
                yield Import(file, child.lineno, f"{child.module}.{alias.name}", inside)
        elif isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield from _walk(child, file, child.name)
        else:
            yield from _walk(child, file, inside)


ALL = [found for file in files() for found in imports(file)]


def test_every_module_has_a_floor() -> None:
    lost = sorted({unit_of(file) for file in files()} - set(FLOOR))
    assert not lost, f"zeoarray/{lost[0]} stands on no floor: add it to FLOORS in {__file__}"


def test_imports_go_down() -> None:
    wrong = []
    for found in ALL:
        target = found.imported_unit
        if target is None or target == found.unit or found.unit == "__init__":
            continue
        here, there = FLOOR[found.unit], FLOOR[target]
        if there >= here:
            way = "up" if there > here else "sideways"
            wrong.append(
                f"{found} imports {way}: {found.unit} (floor {FLOORS[here][0]!r}) takes "
                f"{found.name} (floor {FLOORS[there][0]!r})"
            )
    assert not wrong, (
        "\n".join(wrong) + "\nMove what both need to a lower floor, or hand it in as an argument."
    )


def test_imports_stand_at_the_top_of_the_module() -> None:
    wrong = [f for f in ALL if f.inside is not None and f.root not in OPTIONAL]
    assert not wrong, (
        "\n".join(f"{f} imports {f.name} inside {f.inside}()" for f in wrong)
        + "\nImport at the top; only packages that need not be installed (OPTIONAL) are imported "
        "where they are used. An import hidden for a cycle means that two floors are mixed."
    )


@pytest.mark.parametrize("library", sorted(ONLY_IN))
def test_libraries_stay_where_they_belong(library: str) -> None:
    allowed = ONLY_IN[library]
    wrong = [f for f in ALL if f.root == library and f.unit not in allowed]
    assert not wrong, (
        "\n".join(f"{f} imports {f.name}" for f in wrong)
        + f"\n{library} is for {', '.join(allowed)}: call what those offer instead."
    )


def test_xarray_stays_above_the_kernels() -> None:
    wrong = [f for f in ALL if f.root == "xarray" and FLOOR[f.unit] < LOWEST_XARRAY]
    assert not wrong, (
        "\n".join(f"{f} imports xarray" for f in wrong)
        + "\nBelow schema there are arrays and plain numbers; labels begin above the bridge."
    )


@pytest.mark.parametrize("file", files(), ids=lambda f: str(f.relative_to(PACKAGE)))
def test_house_rules_that_ruff_does_not_know(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    lines = text.count("\n")
    assert lines <= LONGEST_MODULE, f"{file}: {lines} lines; past {LONGEST_MODULE}, make it two"
    tree = ast.parse(text)
    given = _of_executors(tree)
    for node in ast.walk(tree):
        place = f"{file}:{getattr(node, 'lineno', 0)}"
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
            assert node.args.kwarg is None or _is_wrapper(node) or node in given, (
                f"{place}: {node.name}(**{node.args.kwarg.arg}): public functions name their "
                "arguments, so that a misspelt one is an error"
            )
        if isinstance(node, ast.keyword) and node.arg == "parallel":
            assert not getattr(node.value, "value", None), (
                f"{place}: numba's parallel=True starts threads inside a task; parallelism is "
                "by tasks (see backend.single_threaded)"
            )


def _of_executors(tree: ast.Module) -> set[ast.AST]:
    """Methods whose signature `concurrent.futures.Executor` gives."""
    classes = [n for n in ast.walk(tree) if isinstance(n, ast.ClassDef)]
    executors = [c for c in classes if "cf.Executor" in map(ast.unparse, c.bases)]
    return {m for c in executors for m in c.body if getattr(m, "name", "") == "submit"}


def _is_wrapper(node: ast.FunctionDef) -> bool:
    # @functools.wraps shows the signature of what is wrapped.
    return any("wraps" in ast.unparse(decorator) for decorator in node.decorator_list)


def test_the_walk_sees_what_it_shall_see(tmp_path: Path) -> None:
    source = "import dask.array as da\nfrom zeoarray import schema\ndef f():\n    import h5py\n"
    file = PACKAGE / "kernels" / "imaginary.py"
    found = list(_walk(ast.parse(source), file, None))
    assert [(f.root, f.imported_unit, f.inside) for f in found] == [
        ("dask", None, None),
        ("zeoarray", "schema", None),
        ("h5py", None, "f"),
    ]
    assert FLOOR["schema"] > FLOOR[found[1].unit]


def test_the_package_is_imported_without_its_libraries() -> None:
    heavy = {"xarray", "dask", "h5py", "zarr", "pandas", "numba", "scipy"}
    code = f"import sys, zeoarray; print(sorted({heavy!r} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]", "names of zeoarray/__init__.py are looked up when asked for"


@pytest.mark.parametrize("name", [n for n in dir(zeoarray) if not n.startswith("_")])
def test_names_of_the_package_are_there(name: str) -> None:
    assert getattr(zeoarray, name) is not None
