"""Floor 2b: the only writer of zarr, and what it leaves behind to resume and to verify.

`save` writes a dataset to a node; `open_tree` and `open_node` read; `verify` checks and heals.
"""

from zeoarray.store.read import growing, nodes, open_node, open_tree
from zeoarray.store.verify import Finding, verify
from zeoarray.store.write import save

__all__ = ["Finding", "growing", "nodes", "open_node", "open_tree", "save", "verify"]
