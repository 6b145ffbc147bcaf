"""Client of a terminal at a designated pharmacy or hospital: scan, quote, settle, refund, ask.

`Terminal` is the whole interface. Everything it raises of its own accord is a `ClientError`.
"""

from ybm_client.errors import AnswerNotTrusted, ClientError, OutcomeUnknown, Refused
from ybm_client.terminal import Terminal

__all__ = ["AnswerNotTrusted", "ClientError", "OutcomeUnknown", "Refused", "Terminal"]
