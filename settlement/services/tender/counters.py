"""The two kinds of money that never leave the counter: cash, and a card on the merchant's own card
terminal. There is nobody to ask: what the till says is so, and what goes back is handed back, or
returned on the card terminal, by the person at the till."""

from .provider import Truth


class AtTheCounter:
    """Does at once whatever it is asked. Without memory: it is asked only in states in which the
    answer is plain."""

    word_is_final = True

    def authorise(self, reference: str, amount_fen: int, payment_code: str) -> Truth:
        """The card terminal has authorised it already, else the till would not say so."""
        return Truth("authorised")

    def capture(self, reference: str) -> Truth:
        """What the card terminal authorised is collected by its own bank at the day's end."""
        return Truth("captured")

    def cancel(self, reference: str) -> Truth:
        """By the person at the till."""
        return Truth("closed")

    def refund(self, reference: str, refund_reference: str, amount_fen: int) -> Truth:
        """By the person at the till."""
        return Truth("captured", refunds=frozenset({refund_reference}))

    def query(self, reference: str) -> Truth:
        """Asked only about a card whose authorisation nobody came to write down."""
        return Truth("authorised")
