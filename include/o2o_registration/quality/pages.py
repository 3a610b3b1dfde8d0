"""The file name of a run's Data Docs page, for whoever links to it without Great Expectations."""

from __future__ import annotations

import hashlib
import re

# Below the 255 bytes that file systems allow, with room for the digest, the suffix and a temporary name.
MAX_STEM = 150
DIGEST_CHARS = 12


def page_name(run_id: str) -> str:
    """A file name for any run id; a plain one is kept as it is, another gets a digest to stay distinct."""
    plain = re.sub(r"[^A-Za-z0-9_+-]+", "_", run_id)
    if plain == run_id and 0 < len(run_id) <= MAX_STEM:
        return f"{plain}.html"
    digest = hashlib.sha256(run_id.encode("utf-8", "surrogatepass")).hexdigest()[:DIGEST_CHARS]
    return f"{plain[:MAX_STEM].strip('_')}.{digest}.html".lstrip(".")
