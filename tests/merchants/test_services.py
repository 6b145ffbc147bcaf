"""Who may act, how terminals come and go, item lists, institutions, and the keys of answers."""

import re
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.db import DatabaseError
from hypothesis import given
from hypothesis import strategies as st

from merchants import selectors, services
from merchants.models import AnswerKey, Item, Merchant, Operator, Terminal
from merchants.services import ItemInput, answer_keys
from merchants.services.items import initials_of
from messaging.bodies import FieldInvalid
from messaging.refusals import Refusal
from tests.merchants.tills import DAY, NOW, enrol, public_key, register

SOUND = selectors.TerminalFacts(
    terminal_id=1,
    terminal_kind="api",
    terminal_state="active",
    key_id="t1-x",
    public_key=bytes(32),
    merchant_id=1,
    merchant_code="P37030099001",
    merchant_name="康和大药房",
    merchant_kind="pharmacy",
    merchant_level=0,
    merchant_state="active",
    area_code="370300",
    agreement_in_force=True,
    capabilities=frozenset({"chronic"}),
)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({}, None),
        ({"terminal_state": "revoked"}, "terminal_revoked"),
        ({"merchant_state": "suspended"}, "merchant_suspended"),
        ({"agreement_in_force": False}, "agreement_not_in_force"),
        # The first reason that applies is the one that is given.
        (
            {"agreement_in_force": False, "merchant_state": "suspended"},
            "merchant_suspended",
        ),
        (
            {"agreement_in_force": False, "merchant_state": "suspended", "terminal_state": "x"},
            "terminal_revoked",
        ),
    ],
)
def test_a_terminal_may_act_only_when_it_its_merchant_and_the_agreement_are_in_order(
    changes: dict[str, Any], code: str | None
) -> None:
    facts = replace(SOUND, **changes)
    if code is None:
        services.check_terminal(facts)
        services.check_merchant(facts)
        return
    asked = services.check_terminal if code == "terminal_revoked" else services.check_merchant
    with pytest.raises(Refusal) as refused:
        asked(facts)
    assert refused.value.code == code


def test_a_kind_of_benefit_needs_its_capability() -> None:
    services.check_capability(SOUND, "chronic")
    with pytest.raises(services.CapabilityMissing):
        services.check_capability(SOUND, "outpatient")


# --- enrolment


def issue(merchant: Merchant, *, lifetime_s: int = 3600) -> str:
    return services.issue_enrolment_code(
        merchant_id=merchant.pk, name="counter 1", now=NOW, lifetime_s=lifetime_s
    )


def test_a_one_time_code_is_readable_random_and_not_stored(pharmacy: Merchant) -> None:
    codes = {issue(pharmacy) for _ in range(50)}
    assert len(codes) == 50
    assert all(re.fullmatch(r"([0-9A-HJKMNP-TV-Z]{4}-){2}[0-9A-HJKMNP-TV-Z]{4}", c) for c in codes)
    stored = str(list(Terminal.objects.values()))
    assert not any(code in stored or code.replace("-", "") in stored for code in codes)


def test_the_holder_of_a_code_becomes_the_merchants_terminal(pharmacy: Merchant) -> None:
    terminal = services.enrol_terminal(
        one_time_code=issue(pharmacy), public_key=public_key(), name="counter 2", now=NOW
    )
    assert (terminal.state, terminal.name, terminal.merchant) == ("active", "counter 2", pharmacy)
    assert terminal.key_id == services.key_id_of(terminal_id=terminal.pk, public_key=public_key())
    assert terminal.enrolled_at == NOW


def test_a_code_may_be_typed_carelessly(pharmacy: Merchant) -> None:
    code = issue(pharmacy).replace("-", " ").lower().replace("0", "o").replace("1", "l")
    services.enrol_terminal(one_time_code=code, public_key=public_key(), name="", now=NOW)
    assert Terminal.objects.get().name == "counter 1"


def test_the_same_code_with_the_same_key_answers_the_same_terminal_even_after_its_time(
    pharmacy: Merchant,
) -> None:
    code = issue(pharmacy)
    first = services.enrol_terminal(one_time_code=code, public_key=public_key(), name="", now=NOW)
    again = services.enrol_terminal(
        one_time_code=code, public_key=public_key(), name="", now=NOW + timedelta(days=2)
    )
    assert again == first
    assert Terminal.objects.count() == 1


def test_a_used_code_is_refused_to_another_key(pharmacy: Merchant) -> None:
    code = issue(pharmacy)
    services.enrol_terminal(one_time_code=code, public_key=public_key(), name="", now=NOW)
    with pytest.raises(services.EnrolmentCodeUsed):
        services.enrol_terminal(one_time_code=code, public_key=public_key(2), name="", now=NOW)
    assert bytes(Terminal.objects.get().public_key) == public_key()


def test_the_code_of_a_revoked_terminal_does_not_bring_it_back(pharmacy: Merchant) -> None:
    code = issue(pharmacy)
    terminal = services.enrol_terminal(
        one_time_code=code, public_key=public_key(), name="", now=NOW
    )
    services.revoke_terminal(terminal_id=terminal.pk, now=NOW)
    with pytest.raises(services.EnrolmentCodeUsed):
        services.enrol_terminal(one_time_code=code, public_key=public_key(), name="", now=NOW)


@pytest.mark.parametrize("text", ["", "----", "AAAA-BBBB-CCCC", "非法", "x" * 10_000])
def test_an_unknown_code_is_refused(pharmacy: Merchant, text: str) -> None:
    issue(pharmacy)
    with pytest.raises(services.EnrolmentCodeUnknown):
        services.enrol_terminal(one_time_code=text, public_key=public_key(), name="", now=NOW)


@pytest.mark.parametrize(("seconds", "accepted"), [(59, True), (60, False), (86_400, False)])
def test_a_code_lives_as_long_as_it_was_given(
    pharmacy: Merchant, seconds: int, accepted: bool
) -> None:
    code = issue(pharmacy, lifetime_s=60)
    moment = NOW + timedelta(seconds=seconds)
    if accepted:
        services.enrol_terminal(one_time_code=code, public_key=public_key(), name="", now=moment)
        return
    with pytest.raises(services.EnrolmentCodeUnknown):
        services.enrol_terminal(one_time_code=code, public_key=public_key(), name="", now=moment)


P = 2**255 - 19


@pytest.mark.parametrize(
    "key",
    [
        b"",
        bytes(31),
        bytes(33),
        bytes(32),
        (1).to_bytes(32, "little"),
        (1 + 2**255).to_bytes(32, "little"),
        (P - 1).to_bytes(32, "little"),
        P.to_bytes(32, "little"),
        b"\xff" * 32,
        bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"),
        bytes.fromhex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"),
    ],
)
def test_a_key_that_would_verify_anything_or_nothing_is_refused(
    pharmacy: Merchant, key: bytes
) -> None:
    code = issue(pharmacy)
    with pytest.raises(services.PublicKeyInvalid):
        services.enrol_terminal(one_time_code=code, public_key=key, name="", now=NOW)


def test_one_key_is_one_terminal_even_after_it_was_revoked(pharmacy: Merchant) -> None:
    first = enrol(pharmacy)
    with pytest.raises(services.KeyInUse):
        enrol(pharmacy)
    services.revoke_terminal(terminal_id=first.pk, now=NOW)
    with pytest.raises(services.KeyInUse):
        enrol(pharmacy)


def test_a_rolled_key_is_known_and_the_old_one_is_nobodys(pharmacy: Merchant) -> None:
    terminal = enrol(pharmacy)
    new_id = services.roll_terminal_key(terminal_id=terminal.pk, public_key=public_key(2), now=NOW)
    assert new_id == services.key_id_of(terminal_id=terminal.pk, public_key=public_key(2))
    assert selectors.terminal_by_key(key_id=new_id, day=DAY).public_key == public_key(2)
    with pytest.raises(selectors.TerminalUnknown):
        selectors.terminal_by_key(key_id=str(terminal.key_id), day=DAY)


def test_a_revoked_terminal_rolls_no_key_and_one_may_not_roll_to_anothers(
    pharmacy: Merchant,
) -> None:
    first, second = enrol(pharmacy), enrol(pharmacy, seed=2)
    with pytest.raises(services.KeyInUse):
        services.roll_terminal_key(terminal_id=first.pk, public_key=public_key(2), now=NOW)
    services.revoke_terminal(terminal_id=second.pk, now=NOW)
    with pytest.raises(services.TerminalRevoked):
        services.roll_terminal_key(terminal_id=second.pk, public_key=public_key(3), now=NOW)


def test_revoking_twice_keeps_the_first_moment(pharmacy: Merchant) -> None:
    terminal = enrol(pharmacy)
    services.revoke_terminal(terminal_id=terminal.pk, now=NOW)
    services.revoke_terminal(terminal_id=terminal.pk, now=NOW + timedelta(days=1))
    terminal.refresh_from_db()
    assert (terminal.state, terminal.revoked_at) == ("revoked", NOW)


def test_each_operators_page_is_a_till_of_its_own_that_stays_revoked(pharmacy: Merchant) -> None:
    users = [get_user_model().objects.create_user(f"op{n}") for n in range(2)]
    operators = [
        services.add_operator(merchant_id=pharmacy.pk, user=user, code=f"0{n}", name="店员")
        for n, user in enumerate(users)
    ]
    first = services.page_terminal(operator=operators[0], now=NOW)
    assert (first.kind, first.state, first.key_id) == ("page", "active", None)
    services.revoke_terminal(terminal_id=first.pk, now=NOW)
    again = services.page_terminal(operator=operators[0], now=NOW)
    assert (again.pk, again.state) == (first.pk, "revoked")
    second = services.page_terminal(operator=operators[1], now=NOW)
    assert second.pk != first.pk
    assert second.state == "active"


# --- items


@pytest.mark.parametrize(
    ("name", "initials"),
    [
        ("阿莫西林胶囊", "amxljn"),
        ("维生素C片", "wsscp"),
        ("75%酒精", "75jj"),
        ("重楼", "zl"),
        ("（白云山）板蓝根颗粒", "bysblgkl"),
        ("", ""),
        ("★", ""),
    ],
)
def test_initials_are_what_somebody_types_to_find_a_name(name: str, initials: str) -> None:
    assert initials_of(name) == initials


@given(st.text(max_size=120))
def test_initials_of_any_name_fit_their_column_and_can_be_typed(name: str) -> None:
    assert re.fullmatch(r"[a-z0-9]{0,120}", initials_of(name))


GOOD = ItemInput(code="1001", name="阿莫西林胶囊", unit_price="12.50")


@pytest.mark.parametrize(
    ("changes", "param"),
    [
        ({"code": ""}, "items[1].code"),
        ({"code": " "}, "items[1].code"),
        ({"code": "x" * 41}, "items[1].code"),
        ({"code": "1001"}, "items[1].code"),
        ({"name": ""}, "items[1].name"),
        ({"name": "药" * 121}, "items[1].name"),
        ({"name": "药\x00"}, "items[1].name"),
        ({"barcode": "6" * 21}, "items[1].barcode"),
        ({"unit_price": ""}, "items[1].unit_price"),
        ({"unit_price": "-1"}, "items[1].unit_price"),
        ({"unit_price": "1.1234567"}, "items[1].unit_price"),
        ({"unit_price": "1e3"}, "items[1].unit_price"),
        ({"unit_price": "01"}, "items[1].unit_price"),
        ({"unit_price": "１"}, "items[1].unit_price"),
        ({"unit_price": "1\n"}, "items[1].unit_price"),
    ],
)
def test_one_bad_item_is_named_and_none_is_saved(
    pharmacy: Merchant, changes: dict[str, Any], param: str
) -> None:
    bad = replace(GOOD, **({"code": "1002"} | changes))
    with pytest.raises(FieldInvalid) as refused:
        services.save_items(merchant_id=pharmacy.pk, items=[GOOD, bad])
    assert refused.value.param == param
    assert Item.objects.count() == 0


@pytest.mark.parametrize("price", ["0", "0.000001", "12.5", "999999999.999999"])
def test_prices_reach_from_a_millionth_to_a_thousand_million_yuan(
    pharmacy: Merchant, price: str
) -> None:
    services.save_items(merchant_id=pharmacy.pk, items=[replace(GOOD, unit_price=price)])
    assert Item.objects.get().unit_price == price


def test_saving_again_replaces_what_is_named_and_leaves_the_rest(pharmacy: Merchant) -> None:
    other = register(code="P37030099002")
    services.save_items(merchant_id=other.pk, items=[GOOD])
    kept = replace(GOOD, code="1002", national_code="XJ01CAA040")
    saved = services.save_items(merchant_id=pharmacy.pk, items=[GOOD, kept])
    assert saved == services.SavedItems(saved=2, unmapped=("1001",))

    services.save_items(
        merchant_id=pharmacy.pk, items=[replace(GOOD, name="头孢克肟", unit_price="30")]
    )

    rows = Item.objects.filter(merchant=pharmacy).order_by("code")
    assert [(row.code, row.name, row.initials, row.unit_price) for row in rows] == [
        ("1001", "头孢克肟", "tbkw", "30"),
        ("1002", "阿莫西林胶囊", "amxljn", "12.50"),
    ]
    assert Item.objects.get(merchant=other).name == "阿莫西林胶囊"


def test_a_merchant_may_give_its_own_initials(pharmacy: Merchant) -> None:
    services.save_items(merchant_id=pharmacy.pk, items=[replace(GOOD, initials="AM-XL 2")])
    assert Item.objects.get().initials == "amxl2"


# --- institutions


@pytest.mark.parametrize(
    ("changes", "param"),
    [
        ({"code": "X37030099001"}, "code"),
        ({"code": "P3703009900"}, "code"),
        ({"area_code": "3703"}, "area_code"),
        ({"kind": "shop"}, "kind"),
        ({"level": 4}, "level"),
        ({"name": ""}, "name"),
        ({"agreement_number": ""}, "agreement_number"),
        ({"agreement_until": date(2026, 1, 1)}, "agreement_until"),
        ({"capabilities": ["慢病"]}, "capabilities"),
    ],
)
def test_an_institution_with_a_bad_field_is_not_registered(
    db: None, changes: dict[str, Any], param: str
) -> None:
    with pytest.raises(FieldInvalid) as refused:
        register(**changes)
    assert refused.value.param == param
    assert Merchant.objects.count() == 0


def test_registering_again_brings_an_institution_up_to_date(pharmacy: Merchant) -> None:
    again = register(name="康和大药房二店", capabilities=["outpatient"])
    assert again.pk == pharmacy.pk
    agreement = again.agreements.get()
    assert again.name == "康和大药房二店"
    assert [row.kind for row in agreement.capabilities.all()] == ["outpatient"]


@pytest.mark.parametrize(
    "changes",
    [
        {"kind": "clinic"},
        {"area_code": "370100"},
        {"code": "P37030099002", "agreement_number": "XY-P37030099001"},
    ],
)
def test_an_institution_never_changes_its_kind_or_area_nor_takes_anothers_agreement(
    pharmacy: Merchant, changes: dict[str, Any]
) -> None:
    with pytest.raises(FieldInvalid):
        register(**changes)


def test_an_operator_belongs_to_one_merchant_and_has_a_code_of_their_own(
    pharmacy: Merchant,
) -> None:
    users = [get_user_model().objects.create_user(f"op{n}") for n in range(2)]
    first = {"merchant_id": pharmacy.pk, "user": users[0]}
    services.add_operator(**first, code="01", name="店员甲")
    services.add_operator(**first, code="01", name="店员乙")
    assert Operator.objects.get().name == "店员乙"
    with pytest.raises(FieldInvalid):
        services.add_operator(merchant_id=pharmacy.pk, user=users[1], code="01", name="店员丙")
    with pytest.raises(FieldInvalid):
        services.add_operator(
            merchant_id=register(code="P37030099002").pk, user=users[0], code="01", name="店员甲"
        )


# --- answer keys


def test_the_first_answer_key_is_made_when_it_is_needed_and_kept(db: None) -> None:
    key_id, private = services.current_answer_key(now=NOW)
    services.forget_answer_key()
    again_id, again = services.current_answer_key(now=NOW + timedelta(days=1))
    assert (key_id, again_id) == ("server-1", "server-1")
    assert private.private_bytes_raw() == again.private_bytes_raw()


def test_a_private_answer_key_is_sealed_at_rest(db: None) -> None:
    _, private = services.current_answer_key(now=NOW)
    assert private.private_bytes_raw() not in bytes(AnswerKey.objects.get().private_key_cipher)


def test_signing_asks_the_database_once_a_minute(db: None, django_assert_num_queries: Any) -> None:
    services.current_answer_key(now=NOW)
    with django_assert_num_queries(0):
        services.current_answer_key(now=NOW + timedelta(seconds=59))
    with django_assert_num_queries(1):
        services.current_answer_key(now=NOW + timedelta(seconds=60))


def test_the_successor_is_published_a_week_before_it_signs(db: None) -> None:
    services.ensure_answer_key(now=NOW)
    late = NOW + answer_keys.LIFETIME - answer_keys.MADE_AHEAD
    assert [k["key_id"] for k in services.published_answer_keys(now=late - timedelta(days=1))] == [
        "server-1"
    ]

    assert services.current_answer_key(now=late)[0] == "server-1"
    keys = services.published_answer_keys(now=late)
    assert [key["key_id"] for key in keys] == ["server-1", "server-2"]
    assert services.current_answer_key(now=late + timedelta(days=6))[0] == "server-1"
    assert services.current_answer_key(now=late + timedelta(days=7))[0] == "server-2"


def test_a_deployment_that_slept_past_all_its_keys_makes_a_new_one_at_once(db: None) -> None:
    services.ensure_answer_key(now=NOW)
    later = NOW + answer_keys.LIFETIME
    assert services.current_answer_key(now=later)[0] == "server-2"
    assert [key["key_id"] for key in services.published_answer_keys(now=later)] == ["server-2"]


def test_a_withdrawn_key_stops_signing_and_leaves_the_published_set(db: None) -> None:
    services.current_answer_key(now=NOW)
    later = NOW + timedelta(days=1)
    services.rotate_answer_key(now=later, withdraw=True)
    assert services.current_answer_key(now=later)[0] == "server-2"
    assert [key["key_id"] for key in services.published_answer_keys(now=later)] == ["server-2"]


def test_a_rotated_key_stays_published_while_its_answers_may_be_checked(db: None) -> None:
    services.current_answer_key(now=NOW)
    later = NOW + timedelta(days=1)
    assert services.rotate_answer_key(now=later).key_id == "server-2"
    # Every terminal reads the new one before it meets an answer that it signed.
    for days, signs in ((1, "server-1"), (7, "server-1"), (8, "server-2")):
        moment = NOW + timedelta(days=days)
        assert services.current_answer_key(now=moment)[0] == signs
        keys = services.published_answer_keys(now=moment)
        assert [key["key_id"] for key in keys] == ["server-1", "server-2"]


def test_answers_are_signed_on_while_the_database_is_away(
    db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = services.current_answer_key(now=NOW)

    def away(**_: Any) -> AnswerKey:
        raise DatabaseError

    monkeypatch.setattr(answer_keys, "ensure_answer_key", away)
    assert services.current_answer_key(now=NOW + timedelta(hours=1)) == before
    with pytest.raises(DatabaseError):
        services.current_answer_key(now=NOW + answer_keys.LIFETIME)
