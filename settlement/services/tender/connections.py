"""Which provider moves which kind of money here."""

from functools import cache

from django.conf import settings

from .counters import AtTheCounter
from .credit import CreditProvider
from .provider import Provider
from .simulator import SimulatedService, honest, seeded


@cache
def connected() -> dict[str, Provider]:
    """Providers by kind of tender; a kind that is missing is not connected."""
    found: dict[str, Provider] = {
        "cash": AtTheCounter(),
        "bank_card": AtTheCounter(),
        "credit": CreditProvider(),
    }
    if settings.TENDER_SIMULATOR:
        seed = settings.TENDER_SIMULATOR_SEED
        for kind in ("wechat", "alipay"):
            found[kind] = SimulatedService(lies=honest if seed is None else seeded(seed))
    return found
