"""What had happened in the area before: settled, posted purchases with everything each one leaves.

Every past settlement has its scan with the spent code, visit, fee batch, two lines, shares, ledger
transaction, postings and the two remembered requests; every tenth a quote with its hold. Figures
come from bills that the calculator priced; years to date are the area's opening ones, so `replay`
would not agree with them. Answers remembered are short, two lines a bill instead of ten: the
indexes are as deep as in life, the rows narrower.
"""

import random
from collections.abc import Iterator
from datetime import datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

import psycopg

from bench.copying import Table, escaped, unconstrained
from bench.terminals import DISEASE, bill_lines
from bench.world import AREA, ITEMS_A_MERCHANT, SINCE, UNMAPPED_EVERY, national_code
from launch.console import Step
from messaging.bodies import to_json
from settlement import benefits
from settlement.models import Policy
from settlement.services.posting import settlement_legs
from voucher.models import Member

LINES_A_PAST_BILL = 2
PATTERNS = 64
PIECE = 20_000
SPREAD_DAYS = 400
# Every tenth was quoted before it was settled.
QUOTED_EVERY = 10
BEIJING = ZoneInfo("Asia/Shanghai")

TABLES = {
    "settlement_scan": "id, terminal_id, merchant_id, operator, evidence_type, use, member_id,"
    " code, scanned_at, expires_at, business_date, request_id",
    "voucher_spentcode": "handle, scan_id, spent_at",
    "settlement_visit": "id, merchant_id, member_id, scan_id, kind, department, doctor, diagnoses,"
    " opened_at, closed_at, business_date",
    "settlement_feebatch": "id, visit_id, number, service_date, department, doctor, total_fen,"
    " uploaded_at",
    "settlement_line": "id, fee_batch_id, settlement_id, number, code, national_code,"
    " name, quantity, unit_price, amount_fen, split_pack, trace_codes, prescription_number",
    "settlement_quote": "id, scan_id, member_id, merchant_id, terminal_id, policy_id, state,"
    " reads_year_to_date, total_fen, bill, inputs, result, quoted_at, expires_at",
    "settlement_hold": "id, quote_id, account_id, amount_fen, relative",
    "settlement_settlement": "id, visit_id, scan_id, quote_id, member_id, merchant_id, terminal_id,"
    " operator, member_seq, state, benefit_kind, disease_code, area_code, policy_id,"
    " engine_version, service_date, business_date, benefit_year, accounting_month, total_fen,"
    " fund_fen, account_fen, relative_fen, cash_fen, refunded_fen, inputs, result, trace_hash,"
    " accepted_at, posted_at",
    "settlement_share": "id, settlement_id, payer, amount_fen",
    "settlement_ledgertransaction": "id, key, kind, area_code, business_date, accounting_month,"
    " posted_at",
    "settlement_posting": "id, transaction_id, leg, account, amount_fen",
    "messaging_inboxentry": "id, actor, key, circle, path, content_hash, status, code, param, body,"
    " request_id, received_at",
}
COUNTED = (
    "settlement_hold",
    "settlement_line",
    "settlement_share",
    "settlement_ledgertransaction",
    "settlement_posting",
    "messaging_inboxentry",
)


class _Pattern:
    """A priced bill that many members have settled."""

    def __init__(self, chance: random.Random, policy: benefits.Policy) -> None:
        chosen = chance.sample(range(ITEMS_A_MERCHANT), LINES_A_PAST_BILL)
        sent = bill_lines(chosen)
        day = SINCE
        arguments = {
            "policy": policy,
            "member": benefits.Member(
                scheme="employee",
                category="retired",
                age=70,
                aid=None,
                pool_in_force=True,
                account_in_force=True,
                filings=(benefits.Filing(kind="chronic", disease_code=DISEASE),),
            ),
            "site": benefits.Site(
                kind="pharmacy", level=0, institution_code="P37030000000", area=AREA
            ),
            "bill": benefits.Bill(
                kind="chronic",
                disease_code=DISEASE,
                service_date=day,
                lines=tuple(
                    benefits.Line(
                        no=number,
                        code="" if item % UNMAPPED_EVERY == 9 else national_code(item),
                        name=f"试验药品{item:05d}片",
                        amount_fen=line["amount_fen"],
                        item_class="B" if item % 3 == 0 else "A",
                        first_pay_bp=1_000 if item % 3 == 0 else 0,
                        over_limit_fen=0,
                        covered=item % UNMAPPED_EVERY != 9,
                        account_ok=True,
                        prescription=False,
                        prescription_only=False,
                    )
                    for number, (item, line) in enumerate(zip(chosen, sent, strict=True), start=1)
                ),
            ),
            "year_to_date": {"chronic.deductible": 100_000},
            # Little enough that most bills leave a cash part too.
            "account_available_fen": chance.randrange(200, 3_000),
        }
        result = benefits.calculate(**arguments)  # type: ignore[arg-type]
        self.total_fen = result.total_fen
        self.account_fen = result.account_fen
        self.money = (
            f"{result.total_fen}\t{result.fund_fen}\t{result.account_fen}\t0\t{result.cash_fen}"
        )
        self.shares = [(share.payer, share.amount_fen) for share in result.shares]
        self.inputs = escaped(to_json(benefits.canonical_inputs(**arguments)))  # type: ignore[arg-type]
        self.result = escaped(to_json(benefits.result_to_dict(result)))
        self.bill = escaped(
            to_json(
                {"benefit_kind": "chronic", "disease_code": DISEASE, "lines": sent, "sent": sent}
            )
        )
        self.engine = result.engine_version
        self.trace_hash = benefits.trace_hash(result)
        self.lines = [
            f"{number}\t{line['code']}\t"
            f"{'' if item % UNMAPPED_EVERY == 9 else national_code(item)}\t试验药品{item:05d}片\t"
            f"{line['quantity']}\t{line['unit_price']}\t{line['amount_fen']}\tf\t[]\t"
            for number, (item, line) in enumerate(zip(chosen, sent, strict=True), start=1)
        ]


def load(connection: psycopg.Connection[object], *, settlements: int, now: datetime) -> None:
    """Load that many settlements of the last SPREAD_DAYS days, shared out over the members."""
    terminals = connection.execute(
        "SELECT id, merchant_id FROM merchants_terminal ORDER BY id"
    ).fetchall()
    members = Member.objects.count()
    policy = Policy.objects.get()
    compiled = benefits.load_policy(policy.text, name=policy.version)
    chance = random.Random(20260101)
    patterns = [_Pattern(chance, compiled) for _ in range(PATTERNS)]
    with Step(f"{settlements:,} past settlements") as step:
        tables = {name: Table(connection, name, columns) for name, columns in TABLES.items()}
        with unconstrained(connection, list(TABLES), progress=step.progress):
            for number, _ in enumerate(
                _rows(
                    tables,
                    chance=chance,
                    patterns=patterns,
                    terminals=[(int(row[0]), int(row[1])) for row in terminals],  # type: ignore[index]
                    policy_id=policy.pk,
                    members=members,
                    settlements=settlements,
                    begin=now - timedelta(days=SPREAD_DAYS),
                ),
                start=1,
            ):
                if number % PIECE == 0:
                    step.progress(f"{number:,} of {settlements:,}")
                    for table in tables.values():
                        table.flush()
            for table in tables.values():
                table.flush()
        for name in COUNTED:
            connection.execute(
                f"SELECT setval(pg_get_serial_sequence('{name}', 'id'), "
                f"(SELECT max(id) FROM {name}))"
            )


def _rows(
    tables: dict[str, Table],
    *,
    chance: random.Random,
    patterns: list[_Pattern],
    terminals: list[tuple[int, int]],
    policy_id: int,
    members: int,
    settlements: int,
    begin: datetime,
) -> Iterator[None]:
    bits = chance.getrandbits
    step_us = SPREAD_DAYS * 86_400_000_000 // max(1, settlements)
    ids = dict.fromkeys(COUNTED, 0)
    lines = {name: table.lines for name, table in tables.items()}
    order = list(range(1, members + 1))
    for number in range(settlements):
        if number % members == 0:
            # Everybody comes once a round, in another order each time.
            chance.shuffle(order)
        member = order[number % members]
        seq = number // members + 1
        at = begin + timedelta(microseconds=number * step_us)
        moment = at.isoformat()
        later = (at + timedelta(minutes=30)).isoformat()
        local = at.astimezone(BEIJING)
        day = local.strftime("%Y-%m-%d")
        pattern = patterns[number % PATTERNS]
        terminal, merchant = terminals[number % len(terminals)]
        stamp = f"{int(at.timestamp() * 1000):012x}7"
        scan = _id(stamp, bits(74))
        visit = _id(stamp, bits(74))
        batch = _id(stamp, bits(74))
        settlement = _id(stamp, bits(74))
        lines["settlement_scan"].append(
            f"{scan}\t{terminal}\t{merchant}\t\tvoucher_code\tpharmacy_purchase\t{member}\t"
            f"\t{moment}\t{later}\t{day}\t{scan}"
        )
        lines["voucher_spentcode"].append(f"{bits(128):032x}\t{scan}\t{moment}")
        lines["settlement_visit"].append(
            f"{visit}\t{merchant}\t{member}\t{scan}\tpharmacy\t\t\t[]\t{moment}\t{moment}\t{day}"
        )
        lines["settlement_feebatch"].append(
            f"{batch}\t{visit}\t1\t{day}\t\t\t{pattern.total_fen}\t{moment}"
        )
        for text in pattern.lines:
            ids["settlement_line"] += 1
            lines["settlement_line"].append(
                f"{ids['settlement_line']}\t{batch}\t{settlement}\t{text}"
            )
        quote = "\\N"
        if number % QUOTED_EVERY == 0:
            quote = _id(stamp, bits(74))
            lines["settlement_quote"].append(
                f"{quote}\t{scan}\t{member}\t{merchant}\t{terminal}\t{policy_id}\tconfirmed\tt"
                f"\t{pattern.total_fen}\t{pattern.bill}\t{pattern.inputs}\t{pattern.result}"
                f"\t{moment}\t{later}"
            )
            if pattern.account_fen:
                ids["settlement_hold"] += 1
                lines["settlement_hold"].append(
                    f"{ids['settlement_hold']}\t{quote}\t{member}\t{pattern.account_fen}\tf"
                )
        lines["settlement_settlement"].append(
            f"{settlement}\t{visit}\t{scan}\t{quote}\t{member}\t{merchant}\t{terminal}\t\t{seq}\tposted"
            f"\tchronic\t{DISEASE}\t{AREA}\t{policy_id}\t{pattern.engine}\t{day}\t{day}"
            f"\t{local.year}\t{day[:8]}01\t{pattern.money}\t0\t{pattern.inputs}\t{pattern.result}"
            f"\t{pattern.trace_hash}\t{moment}\t{moment}"
        )
        for payer, amount_fen in pattern.shares:
            ids["settlement_share"] += 1
            lines["settlement_share"].append(
                f"{ids['settlement_share']}\t{settlement}\t{payer}\t{amount_fen}"
            )
        ids["settlement_ledgertransaction"] += 1
        transaction = ids["settlement_ledgertransaction"]
        named = str(UUID(settlement))
        lines["settlement_ledgertransaction"].append(
            f"{transaction}\tpost_settlement:{named}\tsettlement\t{AREA}\t{day}\t{day[:8]}01"
            f"\t{moment}"
        )
        legs = settlement_legs(
            member_id=member, merchant_id=merchant, area_code=AREA, shares=pattern.shares
        )
        for leg, (account, amount_fen) in enumerate(legs, start=1):
            ids["settlement_posting"] += 1
            lines["settlement_posting"].append(
                f"{ids['settlement_posting']}\t{transaction}\t{leg}\t{account}\t{amount_fen}"
            )
        for path, answer in (("scan", scan), ("settle", settlement)):
            ids["messaging_inboxentry"] += 1
            lines["messaging_inboxentry"].append(
                f"{ids['messaging_inboxentry']}\tterminal:{terminal}\t{bits(128):032x}"
                f"\tmerchant:{merchant}\t{path}\t{bits(256):064x}\t201\t\t"
                f'\t{{"{path}_id":"{answer}"}}\t{scan}\t{moment}'
            )
        yield


def _id(stamp: str, chance: int) -> str:
    """A version-7 UUID as 32 hexadecimal digits (`messaging.ids` says how it is laid out)."""
    return f"{stamp}{chance >> 62:03x}{0x8 | chance >> 60 & 3:x}{chance & (1 << 60) - 1:015x}"
