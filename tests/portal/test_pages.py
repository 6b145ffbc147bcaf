"""Who may open which page, and what no page may do: be stored, or tell one person of another."""

from collections.abc import Callable

import pytest
from django.test import Client
from django.urls import reverse

from tests.world import World

LANDING = {
    "citizen": "portal:citizen",
    "pharmacist": "portal:pharmacy",
    "cashier": "portal:clinic",
}
PAGES = [
    "portal:citizen",
    "portal:pharmacy",
    "portal:clinic",
    "portal:returns",
    "portal:fund",
    "portal:approvals",
    "portal:payments",
]


@pytest.mark.parametrize(("name", "page"), LANDING.items())
def test_a_login_lands_on_the_page_of_its_role(
    signed_in: Callable[[str], Client], name: str, page: str
) -> None:
    assert signed_in(name).get("/").url == reverse(page)


def test_a_login_without_a_role_is_told_so(signed_in: Callable[[str], Client]) -> None:
    assert "This login has no page yet" in signed_in("nobody").get("/").text


@pytest.mark.parametrize("page", PAGES)
def test_a_page_asks_strangers_to_sign_in(world: World, page: str) -> None:
    assert Client().get(reverse(page)).url.startswith("/login/")


@pytest.mark.parametrize("page", PAGES)
def test_a_login_without_the_role_is_refused_with_a_way_out(
    signed_in: Callable[[str], Client], page: str
) -> None:
    answer = signed_in("nobody").get(reverse(page))
    assert answer.status_code == 403
    assert "To the start" in answer.text


def test_an_operator_is_led_to_the_page_of_their_own_counter(
    signed_in: Callable[[str], Client],
) -> None:
    assert signed_in("cashier").get(reverse("portal:pharmacy")).url == reverse("portal:clinic")


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("citizen", "/me/"),
        ("citizen", "/me/code.json"),
        ("citizen", "/me/code.svg"),
        ("citizen", "/me/settlements.json"),
        ("pharmacist", "/counter/pharmacy/"),
        ("fund", "/fund/overview.json"),
    ],
)
def test_what_concerns_a_person_is_never_stored(
    signed_in: Callable[[str], Client], name: str, path: str
) -> None:
    answer = signed_in(name).get(path)
    assert answer.status_code == 200
    assert "no-store" in answer["Cache-Control"]


def test_every_page_carries_the_content_policy(signed_in: Callable[[str], Client]) -> None:
    policy = signed_in("citizen").get("/me/")["Content-Security-Policy"]
    assert "script-src 'self' 'wasm-unsafe-eval'" in policy
    assert "unsafe-inline" not in policy


def test_the_embedded_database_is_named_at_the_foot(settings, world: World) -> None:
    settings.DATABASE_IS_EMBEDDED = True
    assert "嵌入式数据库" in Client().get("/").text
    settings.DATABASE_IS_EMBEDDED = False
    assert "嵌入式数据库" not in Client().get("/").text


def test_the_language_is_chinese_until_switched(world: World) -> None:
    client = Client()
    assert "登录" in client.get("/login/").text
    client.post("/language/", {"language": "en", "next": "/login/"})
    assert "Sign in" in client.get("/login/").text
