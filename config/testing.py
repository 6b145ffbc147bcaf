"""`manage.py test` hands over to pytest.

Django's own runner finds no pytest-style function and would print "Ran 0 tests ... OK".
"""

import sys
from typing import Any


class HandOverToPytest:
    """The smallest class that Django accepts as TEST_RUNNER."""

    def __init__(self, *, verbosity: int = 1, failfast: bool = False, **kwargs: Any) -> None:
        self.options = (["-v"] if verbosity > 1 else []) + (["-x"] if failfast else [])

    def run_tests(self, test_labels: list[str], **kwargs: Any) -> int:
        """Run pytest on the labels, read as paths. Answers pytest's exit code."""
        import pytest

        return int(pytest.main([*self.options, *test_labels]))


if __name__ == "__main__":
    sys.exit(HandOverToPytest().run_tests(sys.argv[1:]))
