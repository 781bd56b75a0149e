"""The manifest of a dask cluster on Kubernetes, as the dask operator takes it."""

from __future__ import annotations

from typing import Any

from zeoarray.cluster.model import Kubernetes

PORT = 8786


def manifest(cluster: Kubernetes) -> dict[str, Any]:
    """Return the ``DaskCluster`` resource: a scheduler, and workers of one thread each.

    Nothing of it is served outside of the namespace, and nothing runs as root.
    """
    worker = [
        "dask", "worker", "--name", "$(DASK_WORKER_NAME)", "--nthreads", "1",
        "--memory-limit", f"{cluster.memory}B", "--no-dashboard",
    ]  # fmt: skip
    scheduler = ["dask", "scheduler", "--no-dashboard"]
    needs = {"cpu": str(cluster.cpu), "memory": str(cluster.memory)}
    if cluster.gpus:
        needs["nvidia.com/gpu"] = str(cluster.gpus)
    port = {"name": "tcp-comm", "containerPort": PORT, "protocol": "TCP"}
    selector = {
        "dask.org/cluster-name": cluster.name,
        "dask.org/component": "scheduler",
    }
    return {
        "apiVersion": "kubernetes.dask.org/v1",
        "kind": "DaskCluster",
        "metadata": {"name": cluster.name, "namespace": cluster.namespace},
        "spec": {
            "worker": {"replicas": cluster.workers, "spec": _pod(cluster, "worker", worker, needs)},
            "scheduler": {
                "spec": _pod(cluster, "scheduler", scheduler, {"cpu": "1"}, ports=[port]),
                "service": {
                    "type": "ClusterIP",
                    "selector": selector,
                    "ports": [{"name": "tcp-comm", "port": PORT, "targetPort": "tcp-comm"}],
                },
            },
        },
    }


def _pod(
    cluster: Kubernetes,
    name: str,
    command: list[str],
    needs: dict[str, str],
    ports: list[dict[str, Any]] | None = None,
) -> dict[str, Any]:
    container: dict[str, Any] = {
        "name": name,
        "image": cluster.image,
        "args": command,
        "resources": {"requests": needs, "limits": needs},
        "securityContext": {"allowPrivilegeEscalation": False, "runAsNonRoot": True},
        "volumeMounts": [
            {"name": claim, "mountPath": path} for claim, path in cluster.volumes.items()
        ],
    }
    if ports:
        container["ports"] = ports
    volumes = [
        {"name": claim, "persistentVolumeClaim": {"claimName": claim}} for claim in cluster.volumes
    ]
    return {"containers": [container], "volumes": volumes}
