"""Logins of the small world, and clients that are signed in."""

from collections.abc import Callable

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client

from merchants import services as merchants
from portal.roles import FUND_GROUP
from tests.world import World


@pytest.fixture
def signed_in(world: World) -> Callable[[str], Client]:
    """A client of "citizen", "pharmacist", "cashier", "fund" or "nobody", in English."""

    def client_of(name: str) -> Client:
        user = User.objects.create_user(name, password="x")
        if name == "citizen":
            world.retiree.user = user
            world.retiree.save(update_fields=["user"])
        if name == "pharmacist":
            merchants.add_operator(
                merchant_id=world.pharmacy.pk, user=user, code="0001", name="赵柜台"
            )
        if name == "cashier":
            merchants.add_operator(
                merchant_id=world.clinic.pk, user=user, code="0001", name="钱收费"
            )
        if name == "fund":
            user.groups.add(Group.objects.get_or_create(name=FUND_GROUP)[0])
        client = Client(headers={"accept-language": "en"})
        client.force_login(user)
        return client

    return client_of
