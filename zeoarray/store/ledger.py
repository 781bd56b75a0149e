"""The ledger: a line for each finished file of a node, by which a run resumes and is verified.

A line is the CRC-32 of a JSON object, a space, and the object. The first describes what is
written (the fingerprint); each other one is a finished file: key, size, digest. Only the process
that submits the blocks appends. A line that is torn, or whose CRC is wrong, counts as not written.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import xxhash

from zeoarray.errors import StoreError
from zeoarray.store.durable import failed, sync_folder


@dataclass(frozen=True)
class Record:
    """One finished file of a node."""

    key: str
    """Path below the node, as zarr names it: ``counts/c/3/0/0`` or ``zarr.json``."""
    nbytes: int
    digest: str
    """xxh3-128 of the file's bytes."""
    values: str | None = None
    """xxh3-128 of the values before compression, for data blocks: the source's checksum."""


@dataclass
class Ledger:
    """What is known of one node's files."""

    path: Path
    fingerprint: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, str | None] = field(default_factory=dict)
    """Packages that began the node: told in its provenance, no part of the fingerprint."""
    records: dict[str, Record] = field(default_factory=dict)

    def append(self, *records: Record) -> None:
        """Add finished files, durably."""
        lines = b"".join(
            _line({k: v for k, v in vars(r).items() if v is not None}) for r in records
        )
        try:
            with open(self.path, "ab") as file:
                file.write(lines)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise failed(self.path, error) from error
        self.records.update({r.key: r for r in records})

    def forget(self, keys: set[str]) -> None:
        """Drop records whose files are not as recorded, rewriting the ledger whole."""
        self.records = {k: r for k, r in self.records.items() if k not in keys}
        rewrite(self)

    def digest(self) -> str:
        """Digest of the whole node: of every file's key and digest, whatever their order."""
        total = xxhash.xxh3_128()
        for key in sorted(self.records):
            total.update(f"{key} {self.records[key].digest}\n".encode())
        return total.hexdigest()


def _line(content: Mapping[str, Any]) -> bytes:
    text = json.dumps(content, sort_keys=True, separators=(",", ":")).encode()
    return b"%08x %s\n" % (zlib.crc32(text), text)


def _parse(line: bytes) -> dict[str, Any] | None:
    crc, _, text = line.partition(b" ")
    try:
        if int(crc, 16) != zlib.crc32(text):
            return None
        content = json.loads(text)
    except ValueError:
        return None
    return content if isinstance(content, dict) else None


def create(
    path: Path, fingerprint: Mapping[str, Any], versions: Mapping[str, str | None]
) -> Ledger:
    """Begin a ledger for what `fingerprint` describes."""
    ledger = Ledger(path, dict(fingerprint), dict(versions))
    rewrite(ledger)
    return ledger


def rewrite(ledger: Ledger) -> None:
    """Write the whole ledger anew, in one atomic step."""
    lines = [_line({"fingerprint": ledger.fingerprint, "versions": ledger.versions})]
    lines += [
        _line({k: v for k, v in vars(r).items() if v is not None}) for r in ledger.records.values()
    ]
    temporary = ledger.path.with_suffix(".tmp")
    try:
        ledger.path.parent.mkdir(parents=True, exist_ok=True)
        with open(temporary, "wb") as file:
            file.writelines(lines)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, ledger.path)
        sync_folder(ledger.path.parent)
    except OSError as error:
        raise failed(ledger.path, error) from error


def read(path: Path) -> Ledger | None:
    """Read a ledger, leaving out torn lines; None where there is none or its head is torn."""
    try:
        lines = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StoreError(f"{path} cannot be read", got=error.strerror) from error
    head = _parse(lines[0])
    if head is None or not isinstance(head.get("fingerprint"), dict):
        return None
    ledger = Ledger(path, head["fingerprint"], head.get("versions", {}))
    for line in lines[1:]:
        content = _parse(line)
        if content is not None and {"key", "nbytes", "digest"} <= content.keys():
            record = Record(
                str(content["key"]),
                int(content["nbytes"]),
                content["digest"],
                content.get("values"),
            )
            ledger.records[record.key] = record
    return ledger
