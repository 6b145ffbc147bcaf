"""The base class of every refusal, and the closed vocabulary that its subclasses make.

A refusal is an exception with a `code`. Subclasses are defined beside the function that raises
them; `vocabulary()` lists them all, `config/http.py` says which HTTP status each gets, and a test
holds the two together. Nothing here knows HTTP.
"""

from typing import Any, ClassVar

from django.utils.functional import Promise


class Refusal(Exception):
    """What was asked will not be done, and the same request will never be done.

    `code` is the machine's word, `text` the sentence for a person (a lazy translation that may hold
    %(name)s placeholders, filled from `details`), `param` the field or line that is to blame.
    """

    code: ClassVar[str] = ""
    text: ClassVar[str | Promise] = ""

    def __init__(self, *, param: str | None = None, **details: Any) -> None:
        super().__init__(self.code)
        self.param = param
        self.details = details

    def sentence(self) -> str:
        """The text in the active language, with its figures filled in."""
        return str(self.text) % self.details if self.details else str(self.text)


class TryAgain(Exception):
    """A passing trouble: nothing was stored; the same key may be sent again."""

    code: ClassVar[str] = "try_again"


def vocabulary() -> dict[str, type[Refusal]]:
    """Every refusal that is defined, by its code. Two classes with one code are a mistake."""
    found: dict[str, type[Refusal]] = {}
    waiting = list(Refusal.__subclasses__())
    while waiting:
        kind = waiting.pop()
        waiting.extend(kind.__subclasses__())
        if kind.code and found.setdefault(kind.code, kind) is not kind:
            raise LookupError(f"two refusals share the code {kind.code}")
    return found
