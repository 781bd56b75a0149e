"""Speed and memory, each beside a peer doing the same in the same run.

``python -m benchmarks`` runs all and writes ``benchmarks/RESULTS.md``;
``python -m benchmarks ingest`` runs one.
"""
