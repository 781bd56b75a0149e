"""Floor 3: files of facilities, one small reader a format, and their way into a store.

`scan.open_scan` opens any of them; `into.into_store` writes one into a store; `reference` opens
stores whose frames stayed in the original files.
"""
