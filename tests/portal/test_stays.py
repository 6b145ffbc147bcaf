"""What the clinic's page is told of stays: whether to admit, and what a stay may be billed as."""

import json
from collections.abc import Callable
from html.parser import HTMLParser

import pytest
from django.contrib.auth.models import User
from django.test import Client

from merchants import services as merchants
from tests.city import BENEFITS, SINCE, City
from tests.world import World

pytestmark = pytest.mark.django_db


class Rules(HTMLParser):
    """Reads the rules for stays off a page."""

    rules: dict

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name == "data-stay-rules":
                self.rules = json.loads(value or "")


def page_of(city: City) -> tuple[str, dict]:
    """The clinic page of the city's hospital, and the rules for stays in it."""
    user = User.objects.create_user("ward", password="x")
    merchants.add_operator(merchant_id=city.hospital.pk, user=user, code="1", name="孙住院")
    client = Client()
    client.force_login(user)
    text = client.get("/counter/clinic/").text
    return text, rules_on(text)


def rules_on(text: str) -> dict:
    reader = Rules()
    reader.feed(text)
    return reader.rules


def cover(city: City, *kinds: str) -> None:
    """Let the hospital's agreement cover just these."""
    merchants.register_merchant(
        code=city.hospital.code,
        name=city.hospital.name,
        kind="hospital",
        level=3,
        area_code=city.area,
        agreement_number=f"T-{city.area}-H",
        agreement_from=SINCE,
        capabilities=kinds,
    )


def test_a_hospital_is_offered_the_kinds_for_stays_and_the_packages_of_its_area() -> None:
    text, rules = page_of(City.made("350500"))
    assert 'value="inpatient"' in text
    assert rules["kinds"] == [{"kind": "inpatient", "title": {"zh": "住院", "en": "inpatient"}}]
    assert [(one["code"], one["title"]["zh"]) for one in rules["packages"]] == [
        ("QZ-SAMPLE-1", "按病种收费（样例）"),
        ("BED-DAY-PSY", "精神类按床日付费"),
    ]


def test_a_kind_that_the_agreement_does_not_cover_is_not_offered() -> None:
    city = City.made("350500")
    cover(city, *(kind for kind in BENEFITS if kind != "inpatient"))
    assert page_of(city)[1]["kinds"] == []


def test_who_may_not_admit_sees_nothing_of_admissions() -> None:
    city = City.made("350500")
    cover(city, "registration", "inpatient")
    assert 'value="inpatient"' not in page_of(city)[0]


def test_an_area_without_rules_in_force_leaves_the_page_standing() -> None:
    city = City.made("350500")
    city.policy.__class__.objects.update(until_date=SINCE.replace(year=2024))
    assert page_of(city)[1] == {"kinds": [], "packages": []}


def test_an_area_whose_policy_has_no_stays_offers_none(
    signed_in: Callable[[str], Client], world: World
) -> None:
    text = signed_in("cashier").get("/counter/clinic/").text
    assert rules_on(text)["kinds"] == []
    assert "Visits today" in text
