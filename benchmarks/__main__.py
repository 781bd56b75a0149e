"""Run the benchmarks named, or all, and write what they print into ``RESULTS.md``."""

from __future__ import annotations

import importlib
import pkgutil
import platform
import sys
import time
from importlib.metadata import version
from pathlib import Path

HERE = Path(__file__).parent
PACKAGES = ("zeoarray", "numpy", "zarr", "zarrs", "h5py", "numcodecs", "xarray", "dask")


def main() -> None:
    known = [m.name.removeprefix("bench_") for m in pkgutil.iter_modules([str(HERE)])
             if m.name.startswith("bench_")]  # fmt: skip
    wanted = sys.argv[1:] or known
    unknown = set(wanted) - set(known)
    if unknown:
        sys.exit(f"no benchmark {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    results = HERE / "RESULTS.md"
    sections = read(results)
    for name in wanted:
        print(f"== {name}", flush=True)
        module = importlib.import_module(f"benchmarks.bench_{name}")
        text = module.main()
        print(text, flush=True)
        title = (module.__doc__ or name).splitlines()[0]
        stamp = (
            f"{time.strftime('%Y-%m-%d')}, {platform.machine()}, Python {platform.python_version()}"
        )
        versions = ", ".join(f"{p} {version(p)}" for p in PACKAGES)
        sections[name] = f"## {name}\n\n{title}\n\n{text}\n\n*{stamp}; {versions}*\n"
    head = "# Measured\n\nRatios on shared machines; absolute figures vary from run to run.\n\n"
    results.write_text(head + "\n".join(sections[n] for n in sorted(sections)), encoding="utf-8")


def read(path: Path) -> dict[str, str]:
    """Sections of earlier runs, so that one benchmark can be run by itself."""
    if not path.exists():
        return {}
    parts = path.read_text(encoding="utf-8").split("\n## ")[1:]
    return {p.split("\n", 1)[0]: "## " + p.rstrip() + "\n" for p in parts}


if __name__ == "__main__":
    main()
