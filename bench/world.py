"""A pooling area to measure in: rules, a catalogue, pharmacies with their lists, insured people.

Everybody is invented. All members are retired employees with a filed chronic disease who have met
this year's deductible, so that a settlement reads and writes all it can: pool, account and cash
shares and the year to date. What happened before is `bench.history`'s.
"""

from datetime import date, datetime, timedelta
from pathlib import Path

import psycopg
from django.utils import timezone

from bench.copying import Table, escaped
from bench.terminals import DISEASE, TERMINALS, item_code, item_price_fen, terminal_key
from launch.console import Step
from merchants import services as merchants
from merchants.services import answer_keys
from settlement import benefits
from settlement.models import Policy
from settlement.services.catalogue import load_catalogue
from voucher import services as vouchers
from voucher.identity import check_character
from voucher.services import identity_columns

AREA = "370300"
SINCE = date(2022, 1, 1)
POLICY_FILE = Path(__file__).resolve().parent.parent / "policies" / "370300-2022.toml"
MERCHANTS = 200
ITEMS_A_MERCHANT = 1_000
CATALOGUE_ITEMS = 5_000
# Every tenth item of a list stands for nothing in the catalogue, and no fund pays for it.
UNMAPPED_EVERY = 10
# Members share their birthdays' numbers out: at most 999 are born on one day.
BIRTH_DAYS = 9_000
OPENING_BALANCE_FEN = 100_000_000
YEAR_TO_DATE = '{"chronic.base": 200000, "chronic.deductible": 100000, "chronic.paid": 80000}'


def national_code(number: int) -> str:
    """The catalogue's code of that number."""
    return f"XB{number:08d}"


def build(connection: psycopg.Connection[object], *, members: int, now: datetime) -> None:
    """Everything but a past. Idempotent it is not: the database must be freshly migrated."""
    with Step(f"an area with {MERCHANTS} pharmacies and {members:,} members") as step:
        _rules(now)
        _merchants(now, step)
        vouchers.ensure_signing_key(now=now)
        answer_keys.ensure_answer_key(now=now)
        _lists(connection, step)
        _members(connection, members, now, step)


def _rules(now: datetime) -> None:
    text = POLICY_FILE.read_text()
    compiled = benefits.load_policy(text, name="bench")
    Policy.objects.create(
        area_code=AREA,
        version=compiled.version,
        from_date=compiled.effective_from,
        until_date=compiled.effective_until,
        text=text,
        sha256=compiled.sha256,
        loaded_at=now,
    )
    load_catalogue(area_code=AREA, content=_catalogue())


def _catalogue() -> bytes:
    """The products as the file that an area would load, so that a search finds what it would."""
    rows = ["national_code,name,kind,item_class,first_pay,disease_codes,from_date"]
    for number in range(CATALOGUE_ITEMS):
        # Every third is class B: the member pays a tenth first.
        paid = "A,0%" if number % 3 else "B,10%"
        rows.append(f"{national_code(number)},{_name(number)},drug,{paid},{DISEASE},{SINCE}")
    return "\n".join(rows).encode()


def _name(number: int) -> str:
    return f"试验药品{number:05d}片"


def _merchants(now: datetime, step: Step) -> None:
    for number in range(MERCHANTS):
        step.progress(f"pharmacy {number} of {MERCHANTS}")
        merchant = merchants.register_merchant(
            code=f"P3703{number:07d}",
            name=f"试验药房{number:03d}",
            kind="pharmacy",
            area_code=AREA,
            agreement_number=f"BENCH-{number:05d}",
            agreement_from=SINCE,
            capabilities=["chronic", "pharmacy_account", "outpatient"],
        )
        one_time_code = merchants.issue_enrolment_code(
            merchant_id=merchant.pk, name="till", now=now, lifetime_s=600
        )
        if number < TERMINALS:
            merchants.enrol_terminal(
                one_time_code=one_time_code,
                public_key=terminal_key(number).public_key().public_bytes_raw(),
                name=f"bench {number}",
                now=now,
            )


def _lists(connection: psycopg.Connection[object], step: Step) -> None:
    table = Table(
        connection,
        "merchants_item",
        "merchant_id, code, barcode, name, initials, spec, unit, unit_price, national_code",
    )
    ids = [row[0] for row in connection.execute("SELECT id FROM merchants_merchant ORDER BY id")]  # type: ignore[index]
    for count, merchant_id in enumerate(ids):
        step.progress(f"item list {count} of {len(ids)}")
        for number in range(ITEMS_A_MERCHANT):
            national = "" if number % UNMAPPED_EVERY == 9 else national_code(number)
            price = item_price_fen(number)
            table.lines.append(
                f"{merchant_id}\t{item_code(number)}\t69{number:011d}\t{_name(number)}"
                f"\tsyyp{number:05d}\t10mg*28\t盒\t{price / 100:.2f}\t{national}"
            )
        table.flush()


def _members(
    connection: psycopg.Connection[object], members: int, now: datetime, step: Step
) -> None:
    tables = {
        name: Table(connection, name, columns)
        for name, columns in (
            (
                "voucher_member",
                "id, number, name, identity_cipher, identity_hash, birth_date, sex",
            ),
            (
                "voucher_enrolment",
                "id, member_id, scheme, area_code, category, from_date",
            ),
            ("voucher_entitlement", "enrolment_id, state, from_date"),
            (
                "voucher_filing",
                "member_id, kind, disease_code, disease_name, from_date",
            ),
            ("voucher_voucher", "member_id, number, state, activated_at"),
            ("settlement_account", "id, member_id, kind, balance_fen"),
            ("settlement_yeartodate", "member_id, benefit_year, amounts"),
        )
    }
    year = timezone.localdate(now).year
    moment = now.isoformat()
    since = SINCE.isoformat()
    for member in range(1, members + 1):
        born = date(1935, 1, 1) + timedelta(days=member % BIRTH_DAYS)
        # 999999 is no area's code: nobody has such an identity number.
        digits = f"999999{born:%Y%m%d}{member // BIRTH_DAYS:03d}"
        cipher, digest = identity_columns(digits + check_character(digits))
        sex = "male" if member % 2 else "female"
        lines = {
            "voucher_member": f"{member}\t3703B{member:09d}\t试{member:06d}\t\\\\x{cipher.hex()}"
            f"\t{digest}\t{born}\t{sex}",
            "voucher_enrolment": f"{member}\t{member}\temployee\t{AREA}\tretired\t{since}",
            "voucher_entitlement": f"{member}\tin_force\t{since}",
            "voucher_filing": f"{member}\tchronic\t{DISEASE}\t高血压\t{since}",
            "voucher_voucher": f"{member}\t{vouchers.new_voucher_number()}\tactive\t{moment}",
            "settlement_account": f"{member}\t{member}\tpersonal\t{OPENING_BALANCE_FEN}",
            "settlement_yeartodate": f"{member}\t{year}\t{escaped(YEAR_TO_DATE)}",
        }
        for name, line in lines.items():
            tables[name].lines.append(line)
        if member % 10_000 == 0:
            step.progress(f"member {member:,} of {members:,}")
            for table in tables.values():
                table.flush()
    for table in tables.values():
        table.flush()
    for name in ("voucher_member", "voucher_enrolment", "settlement_account"):
        connection.execute(f"SELECT setval(pg_get_serial_sequence('{name}', 'id'), {members})")
