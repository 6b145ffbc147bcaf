"""How an amount is shown to people: `{{ total_fen|yuan }}` gives ¥1,234.56."""

from django import template

register = template.Library()


@register.filter
def yuan(amount_fen: int) -> str:
    """Fen as yuan with two places, e.g. 123456 as ¥1,234.56 and -5 as -¥0.05."""
    sign = "-" if amount_fen < 0 else ""
    whole, rest = divmod(abs(amount_fen), 100)
    return f"{sign}¥{whole:,}.{rest:02d}"
