"""Sales that the tests of the counter's returns find in the site, by what is special about each.

Each test returns a sale of its own: those of a session share the site.
"""

from typing import Any

from tests.city import RESTATES, City, item
from tests.world import Till, World, line

# Names as catalogues have them, longer than any phone is wide.
LONG = "注射用头孢哌酮钠舒巴坦钠（2:1）静脉滴注用粉针剂型规格一点五克每瓶十瓶装"
PACKS = [f"8190000000000000{n:04d}" for n in range(3)]


def made(world: World, password: str) -> dict[str, str]:
    """Make the sales and the logins that return them; the settlements' numbers by name."""
    from django.test.utils import override_settings

    # The name under which the tills of tests send.
    with override_settings(ALLOWED_HOSTS=["testserver"]):
        return {
            **_at_the_pharmacy(world),
            "dearer": _dearer(_city("410100", _DEARER, "dear", password)),
            **_two_in_a_row(_city("420100", _LAST_FIRST, "later", password)),
        }


def _sold(till: Till, bill: dict[str, Any]) -> str:
    reply = till.post("settlements", bill)
    assert reply.status == 201, reply.text
    return str(reply["settlement_id"])


def _at_the_pharmacy(world: World) -> dict[str, str]:
    from merchants import services as merchants
    from tests.settlement.declared_world import declare_long_ago

    merchants.save_items(
        merchant_id=world.pharmacy.pk,
        items=[
            merchants.ItemInput(code="A9", barcode="", name=LONG, unit_price="10", national_code="")
        ],
    )
    person = world.person("吴退药", number="370300000041", category="retired", balance_fen=0)
    till = world.till(name="前台 3")

    def sold(*lines: dict[str, Any]) -> str:
        scan_id = world.scan(till, member=person)
        return _sold(
            till, {"scan_id": scan_id, "benefit_kind": "pharmacy_account", "lines": list(lines)}
        )

    two = [line("A4", "3", "18.6"), line("A5", "2", "128")]
    sales = {name: sold(*two) for name in ("parts", "amount", "twice", "reload", "raced")}
    sales["packs"] = sold(line("A4", "3", "18.6", trace_codes=PACKS), line("A6", "1", "9.9"))
    sales["declared"] = sold(*two)
    declare_long_ago(sales["declared"])
    sales["many"] = sold(*(line("A9", "2", "10") for _ in range(500)))
    return sales


def _city(area: str, text: str, login: str, password: str) -> City:
    from django.contrib.auth.models import User

    from merchants import services as merchants

    city = City.made(area, text=text)
    merchants.add_operator(
        merchant_id=city.hospital.pk,
        user=User.objects.create_user(login, password=password),
        code="0001",
        name="周收费",
    )
    return city


def _outpatient(city: City, till: Till, person: Any, *yuan: int) -> str:
    visit = city.visit(till, person, kind="outpatient")
    city.fees(till, visit, *(item("XA01", each) for each in yuan))
    return _sold(till, {"visit_id": visit, "benefit_kind": "outpatient"})


def _dearer(city: City) -> str:
    """510 reach the deductible, so all of it counts; 300 alone would not."""
    person = city.person(51, balance_fen=0)
    return _outpatient(city, city.hospital_till(), person, 300, 210)


def _two_in_a_row(city: City) -> dict[str, str]:
    person, till = city.person(52, balance_fen=0), city.hospital_till()
    return {name: _outpatient(city, till, person, 400) for name in ("first", "later")}


def _rules(area: str) -> str:
    return RESTATES.replace("370300", area).replace('"RESTATES"', f'"{area}"')


# A deductible that falls away once the bill reaches it: with less on the bill it is back.
_DEARER = _rules("410100").replace(
    'per = "year"\ncounts_in = "own.deductible"',
    'per = "bill"\ntaken_off = "nothing_once_reached"',
)
_LAST_FIRST = _rules("420100").replace('"restate"', '"last_first"')
