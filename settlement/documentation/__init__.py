"""The API document: each signed endpoint described from its own shapes, and the whole completed.

`documented` describes the endpoints of `settlement/api.py`; `complete` is drf-spectacular's last
step, where every operation gets its place, headers, answer, refusals and recorded examples from
`entries.py`. The examples are one real run, recorded by `tests/settlement/test_api_document.py`.
"""

from .book import complete, documented

__all__ = ["complete", "documented"]
