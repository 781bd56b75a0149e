"""Cluster files: one model, every shipped file, every fault with its line."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest
import yaml

from zeoarray import cluster
from zeoarray.cluster import model
from zeoarray.errors import PipelineError, SourceError

SHIPPED = Path(__file__).parents[2] / "cluster"


def test_a_file_for_every_kind() -> None:
    assert {path.stem for path in SHIPPED.glob("*.yaml")} == set(model.KINDS)


@pytest.mark.parametrize("kind", model.KINDS)
def test_shipped_file(kind: str) -> None:
    read = cluster.read(SHIPPED / f"{kind}.yaml")
    assert read.kind == kind
    assert cluster.described(read)


def test_a_job_of_slurm() -> None:
    script = cluster.described(cluster.read(SHIPPED / "slurm.yaml")).splitlines()
    for line in (
        "#SBATCH -p cs05r",
        "#SBATCH --cpus-per-task=16",
        "#SBATCH -t 04:00:00",
        "module load python",
        "source .venv/bin/activate",
    ):
        assert line in script
    (worker,) = (line for line in script if "dask worker" in line or "dask_worker" in line)
    for part in ("tls://", "--nthreads 1", "--nworkers 16", "--lifetime 13920s"):
        assert part in worker, worker
    gpu = cluster.described(cluster.read(SHIPPED / "slurm-gpu.yaml"))
    assert "#SBATCH --gres=gpu:4" in gpu
    assert "--nworkers 4" in gpu


def test_the_manifest_of_kubernetes() -> None:
    made = yaml.safe_load(cluster.described(cluster.read(SHIPPED / "kubernetes.yaml")))
    assert (made["kind"], made["metadata"]["name"]) == ("DaskCluster", "zeoarray")
    (pod,) = made["spec"]["worker"]["spec"]["containers"]
    assert pod["resources"]["limits"] == {"cpu": "1", "memory": "8000000000"}
    assert pod["volumeMounts"] == [{"name": "data", "mountPath": "/data"}]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert made["spec"]["scheduler"]["spec"]["containers"][0]["args"][-1] == "--no-dashboard"
    assert made["spec"]["scheduler"]["service"]["type"] == "ClusterIP"


FAULTS = {
    "kind": ("cluster: slrum", "line 2: there is no cluster 'slrum'; did you mean 'slurm'"),
    "no kind": ("queue: a", "there is no cluster None"),
    "key": ("cluster: local\nworker: 3", "line 3: local has no key 'worker'; did you mean 'worker"),
    "count": ("cluster: local\nworkers: 0", "line 3: workers: Input should be greater than"),
    "size": ("cluster: local\nmemory: 4", "line 3: memory: a size with its unit"),
    "unit": ("cluster: local\nmemory: 4 GBit", "a size with its unit"),
    "address": ("cluster: existing\naddress: here", "address: String should match"),
    "missing": ("cluster: existing", "address: Field required"),
    "walltime": (
        "cluster: slurm\nqueue: q\ncores: 2\nmemory: 4 GB\njobs: 1\nwalltime: 4",
        "line 7: walltime",
    ),
    "shell in a word": (
        "cluster: slurm\nqueue: q;rm\ncores: 2\nmemory: 4 GB\njobs: 1\nwalltime: 4 h",
        "line 3: queue: String should match",
    ),
    "name": (
        "cluster: kubernetes\nname: Not A Name\nimage: a\nworkers: 1\nmemory: 1 GB",
        "line 3: name: String should match",
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_fault(tmp_path: Path, name: str) -> None:
    content, part = FAULTS[name]
    path = tmp_path / "c.yaml"
    path.write_text(f"zeoarray: 1\n{content}\n", encoding="utf-8")
    with pytest.raises(PipelineError) as error:
        cluster.read(path)
    assert part in str(error.value), str(error.value)


def test_all_faults_at_once_and_no_tags(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    text = "cluster: kubernetes\nimages: a\nworkers: 0\n"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(PipelineError, match="5 faults"):
        cluster.read(path)
    path.write_text(textwrap.dedent("zeoarray: 1\ncluster: !!python/name:os.x\n"), encoding="utf-8")
    with pytest.raises(SourceError, match="tags are refused"):
        cluster.read(path)
