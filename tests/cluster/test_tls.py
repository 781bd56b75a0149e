"""Encrypted connections: a run goes over them, and who has no certificate is refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import distributed
import pytest
from distributed.security import Security

from tests.pipeline.conftest import written, yaml  # noqa: F401  fixtures
from zeoarray import cluster, pipeline, store
from zeoarray.cluster import model
from zeoarray.errors import ArgumentError, PipelineError

pytest.importorskip("cryptography")
Write = Callable[..., Path]
STAGES = """
- from: xct/a/scan
  into: xct/a/absorbance
  steps: [xct.normalize, xct.minus_log]
"""


@pytest.fixture
def files(tmp_path: Path) -> model.Tls:
    """Certificates, as a site would hand them out."""
    made = Security.temporary()
    content = {"ca": made.tls_ca_file, "cert": made.tls_client_cert, "key": made.tls_client_key}
    for name, text in content.items():
        (tmp_path / f"{name}.pem").write_text(text, encoding="utf-8")
    return model.Tls(**{name: tmp_path / f"{name}.pem" for name in content})


@pytest.fixture
def scheduler(files: model.Tls) -> Iterator[str]:
    names = {f"tls_{who}_{what}": str(getattr(files, what))
             for who in ("client", "scheduler", "worker") for what in ("cert", "key")}  # fmt: skip
    security = Security(tls_ca_file=str(files.ca), require_encryption=True, **names)
    with distributed.LocalCluster(
        n_workers=1,
        threads_per_worker=1,
        processes=False,
        protocol="tls",
        security=security,
        host="127.0.0.1",
        dashboard_address="127.0.0.1:0",
    ) as own:
        yield own.scheduler_address


def test_run_over_tls(yaml: Write, files: model.Tls, scheduler: str) -> None:  # noqa: F811
    assert scheduler.startswith("tls://127.0.0.1")
    where = model.Existing(address=scheduler, tls=files)
    with cluster.started(where) as workers:
        pipeline.run(pipeline.read(yaml(STAGES)), executor=workers.executor, lost=workers.lost)
    assert store.verify("a.zarr") == []


def test_without_the_certificates_nobody_gets_in(scheduler: str) -> None:
    with pytest.raises(ArgumentError) as error, cluster.started(model.Existing(address=scheduler)):
        pass
    assert "certificates" in str(error.value)


def test_certificate_that_is_not_there(tmp_path: Path) -> None:
    gone = model.Tls(ca=tmp_path / "ca.pem", cert=tmp_path / "c.pem", key=tmp_path / "k.pem")
    where = model.Existing(address="tls://127.0.0.1:9", tls=gone)
    with (
        pytest.raises(ArgumentError, match="a file for TLS is not there") as error,
        cluster.started(where),
    ):
        pass
    assert "ca.pem" in str(error.value)


def test_file_of_a_cluster_names_all_three(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    text = "zeoarray: 1\ncluster: existing\naddress: tls://h:1\ntls: {ca: a, cert: b}\n"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(PipelineError, match=r"line 4: tls\.key: Field required"):
        cluster.read(path)
