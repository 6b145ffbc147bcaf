"""What a signed-in person may open: their own code, a merchant's counter, the fund's dashboard.

A login may be a member, an operator of one merchant, a member of the group "fund staff", or several
of these. This module reads rows and decides nothing about money or codes.
"""

from dataclasses import dataclass
from typing import Any

from django.urls import reverse

from merchants.models import Merchant, Operator
from voucher.models import Member
from voucher.selectors import member_of_user

FUND_GROUP = "fund staff"


@dataclass(frozen=True, slots=True)
class Roles:
    """Who a login is. An operator who was switched off is not one."""

    member: Member | None = None
    operator: Operator | None = None
    fund: bool = False

    @property
    def counter_page(self) -> str:
        """The name of the counter page of the operator's merchant, empty without an operator."""
        if self.operator is None:
            return ""
        pharmacy = self.operator.merchant.kind == Merchant.Kind.PHARMACY
        return "portal:pharmacy" if pharmacy else "portal:clinic"

    def pages(self) -> list[str]:
        """The addresses this login may open, the one it works at first."""
        names = [self.counter_page, "portal:fund" if self.fund else "", "portal:citizen"]
        if self.member is None:
            names.pop()
        return [reverse(name) for name in names if name]


def roles_of(user: Any) -> Roles:
    """The roles of a login; none for somebody who is not signed in."""
    if not user.is_authenticated:
        return Roles()
    operator = (
        Operator.objects.select_related("merchant", "user").filter(user=user, active=True).first()
    )
    return Roles(
        member=member_of_user(user),
        operator=operator,
        fund=user.is_superuser or user.groups.filter(name=FUND_GROUP).exists(),
    )
