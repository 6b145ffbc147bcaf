"""What a catalogue restricts and marks reaches the bill: from cells to the till's answer."""

from collections.abc import Iterator
from datetime import date, datetime

import pytest
import time_machine

from settlement import benefits
from settlement.benefits import UseRestriction
from settlement.models import CatalogueItem, Policy
from settlement.selectors.rules import catalogue_items, compiled_policy, rules_in_force
from settlement.services.catalogue import load_catalogue
from settlement.services.catalogue_files import CatalogueUnreadable, read_catalogue
from tests.world import AREA, POLICY_FILE, World, line

DAY = date(2026, 1, 1)
ONLY = [
    "only_diagnoses",
    "only_sex",
    "only_age_from",
    "only_age_below",
    "only_levels",
    "only_emergency",
]
HEAD = ["national_code", "name", "kind", "item_class", "from_date"]
ROW = ["XJ01CAA004", "阿莫西林胶囊", "drug", "A", "2022-01-01"]


@pytest.fixture
def other_policies() -> Iterator[None]:
    """Rows that are rolled back leave their numbers to the next test's policy."""
    compiled_policy.cache_clear()
    yield
    compiled_policy.cache_clear()


def sheet(**more: str) -> bytes:
    """The drug that the test pharmacy sells as A4, with more columns."""
    return "\n".join([",".join([*HEAD, *more]), ",".join([*ROW, *more.values()]), ""]).encode()


def test_the_cells_of_a_restriction_are_stored_as_the_calculator_takes_them(db: None) -> None:
    content = sheet(
        restricted_use="限二级及以上医疗机构成年女性的胃癌急诊",
        only_diagnoses="C16 D00.2",
        only_sex="female",
        only_age_from="18",
        only_age_below="150",
        only_levels="3 2 3",
        only_emergency="yes",
    )
    load_catalogue(area_code=AREA, content=content)
    facts = catalogue_items(area_code=AREA, national_codes=["XJ01CAA004"], day=DAY)
    assert facts["XJ01CAA004"].restriction == UseRestriction(
        diagnoses=("C16", "D00.2"),
        sex="female",
        age_from=18,
        age_below=150,
        levels=(2, 3),
        emergency=True,
        text="限二级及以上医疗机构成年女性的胃癌急诊",
    )
    # A file without the columns takes the restriction away: a row is replaced whole.
    load_catalogue(area_code=AREA, content=sheet())
    assert CatalogueItem.objects.get().restriction is None


def test_words_alone_restrict_nothing(db: None) -> None:
    load_catalogue(area_code=AREA, content=sheet(restricted_use="限重症", only_emergency="no"))
    facts = catalogue_items(area_code=AREA, national_codes=["XJ01CAA004"], day=DAY)
    assert facts["XJ01CAA004"].restriction is None


@pytest.mark.parametrize(
    ("column", "cell"),
    [
        ("only_diagnoses", "C16;C25"),
        ("only_diagnoses", "胃癌"),
        ("only_diagnoses", "16"),
        ("only_diagnoses", "C" * 21),
        ("only_sex", "f"),
        ("only_sex", "both"),
        ("only_age_from", "0"),
        ("only_age_from", "18岁"),
        ("only_age_from", "17.5"),
        ("only_age_below", "151"),
        ("only_age_below", "-1"),
        ("only_levels", "4"),
        ("only_levels", "2-3"),
        ("only_emergency", "true"),
    ],
)
def test_a_bad_cell_of_a_restriction_is_named(column: str, cell: str) -> None:
    with pytest.raises(CatalogueUnreadable) as unreadable:
        read_catalogue(sheet(restricted_use="限本条之用", **{column: cell}))
    (problem,) = unreadable.value.problems
    assert problem.startswith(f"row 2: {column}: expected ")


def test_ages_that_nobody_has_are_refused() -> None:
    with pytest.raises(CatalogueUnreadable, match="only_age_below: expected an age above"):
        read_catalogue(sheet(restricted_use="限", only_age_from="18", only_age_below="18"))


@pytest.mark.parametrize(
    ("column", "cell"),
    list(zip(ONLY, ["C16", "female", "1", "1", "0 1", "yes"], strict=True)),
)
def test_a_restriction_that_nobody_put_into_words_is_refused(column: str, cell: str) -> None:
    with pytest.raises(CatalogueUnreadable, match="row 2: restricted_use: expected the words"):
        read_catalogue(sheet(**{column: cell}))


# The worker is a woman born in 1955 who buys at an unrated pharmacy.
@pytest.mark.parametrize(
    ("cells", "reason"),
    [
        ({"only_sex": "female"}, None),
        ({"only_sex": "male"}, "restricted_use"),
        ({"only_age_from": "65"}, None),
        ({"only_age_below": "65"}, "restricted_use"),
        ({"only_levels": "0 1"}, None),
        ({"only_levels": "2 3"}, "restricted_use"),
        ({"only_sex": "female", "only_age_below": "65"}, "restricted_use"),
        ({"only_emergency": "yes"}, "restricted_use"),
        ({"only_diagnoses": "J15"}, "restricted_use"),
    ],
)
def test_a_till_is_told_of_a_restriction_that_the_bill_does_not_meet(
    db: None, now: datetime, cells: dict[str, str], reason: str | None
) -> None:
    with time_machine.travel(now, tick=False):
        world = World.made()
        load_catalogue(area_code=AREA, content=sheet(restricted_use="限本条之用", **cells))
        till = world.till(world.clinic)
        scan_id = world.scan(till, member=world.worker, use="settlement")
        bill = {"scan_id": scan_id, "benefit_kind": "outpatient", "lines": [line("A4")]}
        reply = till.post("estimates", bill)
    assert reply.status == 200, reply.text
    (priced,) = reply["lines"]
    assert priced["reason"] == reason
    assert priced["out_of_scope_fen"] == (1860 if reason else 0)
    assert any("限本条之用" in said for said in reply["explanation"]) is bool(reason)


GROUPED = '[[catalogue.first_pay]]\ngroups = [{}]\nrate = "25%"\nsource = "assumption"\n'
BOTH = ('"negotiated"', '"dual_channel"')


@pytest.mark.parametrize(
    ("groups", "marks", "group"),
    [
        (BOTH[:1], {"negotiated"}, "negotiated"),
        (BOTH[:1], {"negotiated", "dual_channel"}, "negotiated"),
        (BOTH[:1], {"dual_channel"}, ""),
        (BOTH[:1], set(), ""),
        (BOTH[1:], {"negotiated", "dual_channel"}, "dual_channel"),
        (BOTH[1:], {"negotiated"}, ""),
        (BOTH, {"negotiated", "dual_channel"}, "dual_channel"),
        (BOTH, {"negotiated"}, "negotiated"),
        ((), {"negotiated", "dual_channel"}, ""),
    ],
)
def test_a_marked_item_without_a_group_is_in_the_one_that_the_policy_names(
    db: None,
    other_policies: None,
    now: datetime,
    groups: tuple[str, ...],
    marks: set[str],
    group: str,
) -> None:
    text = POLICY_FILE.read_text()
    start, end = text.index("[[catalogue.first_pay]]"), text.index("[[catalogue.away_first_pay]]")
    rules = GROUPED.format(", ".join(groups)) if groups else ""
    text = text[:start] + rules + text[end:]
    compiled = benefits.load_policy(text, name="groups")
    Policy.objects.create(
        area_code=AREA,
        version="groups",
        from_date=date(2022, 1, 1),
        text=text,
        sha256=compiled.sha256,
        loaded_at=now,
    )
    load_catalogue(area_code=AREA, content=sheet(**dict.fromkeys(marks, "yes")))
    code = "XJ01CAA004"
    _row, _policy, facts = rules_in_force(area_code=AREA, national_codes=[code], day=DAY)
    assert facts[code].drug_group == group
    # A group of its own goes before the marks.
    load_catalogue(
        area_code=AREA, content=sheet(drug_group="special", **dict.fromkeys(marks, "yes"))
    )
    _row, _policy, facts = rules_in_force(area_code=AREA, national_codes=[code], day=DAY)
    assert facts[code].drug_group == "special"


def test_a_negotiated_drug_takes_the_first_pay_of_the_policy(db: None, now: datetime) -> None:
    with time_machine.travel(now, tick=False):
        world = World.made()
        load_catalogue(area_code=AREA, content=sheet(first_pay="5%", negotiated="yes"))
        till = world.till(world.clinic)
        scan_id = world.scan(till, member=world.worker, use="settlement")
        bill = {"scan_id": scan_id, "benefit_kind": "outpatient", "lines": [line("A4")]}
        (priced,) = till.post("estimates", bill)["lines"]
    # 20 % of 18.60, and not the 5 % that the catalogue names.
    assert priced["first_pay_fen"] == 372
