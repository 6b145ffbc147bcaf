"""What all answers share: amounts, texts, shares, and the problem that a refusal is."""

from typing import Annotated

from msgspec import Meta, Struct

Fen = Annotated[int, Meta(description="Integer fen.")]
Texts = Annotated[list[str], Meta(description="Plain sentences in the reader's language.")]


class AnswerShape(Struct, forbid_unknown_fields=True):
    """Base of every shape. New members may appear: clients ignore what they do not know."""


class ShareShape(AnswerShape):
    """One payer's part. The parts make the total."""

    payer: Annotated[str, Meta(description="`pool`, another fund, `account` or `cash`.")]
    amount_fen: Fen


class Problem(Struct):
    """A refusal (RFC 9457). Some codes carry a figure more, such as `line_no` or `seconds_left`."""

    type: Annotated[str, Meta(description="`/docs/refusals#` and the code.")]
    title: str
    status: int
    code: Annotated[str, Meta(description="What to decide on.")]
    detail: Annotated[str, Meta(description="For a person, in the reader's language.")]
    param: Annotated[str | None, Meta(description="The member that is to blame.")]
    request_id: str
