"""``kill -9`` of the client, of the scheduler, of a worker: the store is as if nothing had been.

The short version has three kills; ``make prove`` has thirty, on a shipped pipeline.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.conftest import DEMO
from tests.pipeline.chaos import WHO, Chaos, Who, chaos
from tests.test_pipelines import SHIPPED
from zeoarray import pipeline, store
from zeoarray.store import ledger, places
from zeoarray.twin import generate

Write = Callable[..., Path]
STAGES = """
- measure: xct.check_frames
  from: xct/a/scan
  into: xct/a/frames
- from: xct/a/scan
  into: xct/a/absorbance
  block: 1
  steps:
    - xct.normalize: {frames: xct/a/frames}
    - xct.remove_rings: {la_size: 11, sm_size: 5}
    - xct.minus_log
"""


def contents(root: Path) -> dict[str, dict[str, str]]:
    """Digest of every file of every node."""
    books = {node: ledger.read(places.locate(root, node).ledger) for node in store.nodes(root)}
    return {
        node: {key: known.digest for key, known in book.records.items()}
        for node, book in books.items()
        if book is not None
    }


def test_three_kills_change_nothing(yaml: Write, tmp_path: Path) -> None:
    path = yaml(STAGES)
    pipeline.run(pipeline.read(path))
    undisturbed = contents(tmp_path / "a.zarr")
    other = tmp_path / "b.zarr"
    store.save(store.open_node("a.zarr", "xct/a/scan"), other, "xct/a/scan")
    run = Chaos(tmp_path / "chaos", path, {"store": str(other)}, workers=1, pause=0.1)
    with chaos(run):
        assert run.run(list(WHO), seed=3, spread=4) == 3
    disturbed = contents(other)
    for node in ("xct/a/frames", "xct/a/absorbance"):
        assert disturbed[node].keys() == undisturbed[node].keys()
        blocks = {k: d for k, d in undisturbed[node].items() if "/c/" in k}
        assert {k: d for k, d in disturbed[node].items() if "/c/" in k} == blocks
    assert store.verify(other) == []
    assert store.growing(other) == {}
    assert run.count("begun") - 22 <= 3 * run.in_flight, "more than the blocks in flight was lost"


KILLS = 30


@dataclass(frozen=True)
class Proved:
    """A shipped pipeline that is killed: its settings, and the twin's files that it reads."""

    settings: dict[str, str]
    preset: str
    rows: int | None
    only: list[str] | None
    spread: int
    """A kill comes after 1 to so many further blocks were begun."""
    blocks: dict[str, int] = field(default_factory=dict)
    """Rows of a block, of nodes that would be made in too few of them to be hit."""


BINNED = {
    "stages.3.block": "1",
    "ingest.source": "169068.nxs",
    "ingest.sidecar": "169068.yaml",
    "ingest.pixel_size": "null",
    "xct.remove_rings.la_size": "31",
    "xct.remove_rings.sm_size": "11",
    "xct.correct_distortion.polynomial": "[0.999634, 2.79697e-06, 2.33386e-08]",
    "xct.correct_distortion.detector": "[432, 512]",
    "xct.correct_distortion.center_from_top": "265.24",
    "xct.correct_distortion.center_from_left": "238.13",
    "xct.correct_distortion.crop_edges": "4",
}
TOMOGRAMS = ("i13-2.6um", "i13-1.625um", "i13-0.8125um", "i13-0.325um", "diad")
SMALL_BLOCKS = {
    "xct/i13-2.6um/transmission": 8,
    **{f"xct/{name}/volume/bin1": 1 for name in TOMOGRAMS},
    "xrdct/25um/patterns": 8,
    "xrdct/25um/sinogram": 100,
    "xrdct/25um/volume": 1,
    "xrdct/25um/phases": 1,
}
PROVED = {
    "xct.yaml": Proved(BINNED, "small", 64, ["i13-2.6um"], 3),
    # Every stage of the demonstration, on the files that `make test` has of it.
    "demo.yaml": Proved(DEMO, "tiny", None, None, 5, SMALL_BLOCKS),
}


def settings_of(name: str, files: Path) -> dict[str, str]:
    """Return what is set in a pipeline that is killed; an ingest's paths are those of the twin."""
    proved, paths = PROVED[name], ("source", "sidecar")
    given = {
        k: str(files / v) if k in {f"ingest.{p}" for p in paths} else v
        for k, v in proved.settings.items()
    }
    stages = pipeline.read(SHIPPED / name, given=given).stages
    numbers = {stage.into: stage.number for stage in stages}
    blocks = {f"stages.{numbers[node]}.block": str(n) for node, n in proved.blocks.items()}
    return given | blocks


@pytest.mark.prove
@pytest.mark.parametrize("name", PROVED)
def test_thirty_kills_change_nothing(name: str, tmp_path: Path) -> None:
    proved = PROVED[name]
    files = tmp_path / "files"
    generate(files, preset=proved.preset, seed=1, rows=proved.rows, only=proved.only)
    given = settings_of(name, files)
    rng, begun = random.Random(0), {}
    victims: list[Who] = [who for who in WHO for _ in range(KILLS // len(WHO))]
    rng.shuffle(victims)
    for kind, killed in (("undisturbed", []), ("disturbed", victims)):
        # In a folder of one name: what a node was made of names the paths of files.
        folder = tmp_path / "run"
        settings = {**given, "store": str(folder / "a.zarr")}
        (folder / "demo").mkdir(parents=True)
        (folder / "demo/files").symlink_to(files)
        run = Chaos(folder, SHIPPED / name, settings, pause=0.3)
        with chaos(run):
            assert run.run(killed, seed=1, spread=proved.spread, limit=1800) == len(killed)
        begun[kind] = run.count("begun")
        folder.rename(tmp_path / kind)
    blocks, redone = begun["undisturbed"], begun["disturbed"] - begun["undisturbed"]
    print(  # noqa: T201  the figures are what this test is for
        json.dumps(
            {
                "pipeline": name,
                "kills": KILLS,
                "blocks": blocks,
                "redone": redone,
                "redone_a_kill": redone / KILLS,
                "in_flight": run.in_flight,
            }
        )
    )
    assert redone <= KILLS * run.in_flight
    assert store.verify(tmp_path / "disturbed/a.zarr") == []
    assert store.growing(tmp_path / "disturbed/a.zarr") == {}
    assert contents(tmp_path / "disturbed/a.zarr") == contents(tmp_path / "undisturbed/a.zarr")
