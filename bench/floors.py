"""What the same machine could do at best: pgbench writing the product's own rows, and a bare view.

The scripts `bench/settle.sql` and `bench/scan.sql` write, row for row and column for column, what
the product writes (a test compares the tables' counters), with the very texts of an answer the
product gave. They decide nothing. pgbench keeps eight connections and prepared statements.
"""

import json
import os
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from bench.terminals import LINES_A_BILL

FOLDER = Path(__file__).resolve().parent
CLIENTS = 8
THREADS = 2
SCANS_TO_NAME = 20_000
# No worker takes it: it falls due at the end of time.
TOPIC = "bench_floor"

# Version-7 ids as `messaging.ids` makes them, from the transaction's clock and a number drawn by
# pgbench, so that one script can name the same id twice without a round trip.
_HELPERS = """
CREATE OR REPLACE FUNCTION bench_id(chance bigint, part int) RETURNS uuid LANGUAGE sql STABLE AS $$
    SELECT (lpad(to_hex((extract(epoch FROM now()) * 1000)::bigint), 12, '0') || '7' || part::text
        || 'bc' || '8' || lpad(to_hex(chance), 15, '0'))::uuid
$$;
DROP TABLE IF EXISTS bench_scan;
CREATE TABLE bench_scan (number int PRIMARY KEY, id uuid NOT NULL, member_id bigint NOT NULL,
    merchant_id bigint NOT NULL, terminal_id bigint NOT NULL, account_id bigint NOT NULL);
"""


@dataclass(frozen=True)
class Floor:
    """What pgbench reached: transactions a second, and how many there were."""

    rate: float
    done: int


def prepare(server: psycopg.Connection[Any]) -> dict[str, str]:
    """Make the helpers in the database and take the texts of its latest settlement and scan.

    Answers the scripts' variables. Raises LookupError when nothing was settled through the API yet.
    """
    for statement in _HELPERS.split(";\n"):
        if statement.strip():
            server.execute(statement)  # type: ignore[arg-type]
    server.execute(
        "INSERT INTO bench_scan"
        # Numbered when they are chosen: a number for each there is would leave gaps.
        " SELECT row_number() OVER (), latest.* FROM ("
        " SELECT s.id, s.member_id, s.merchant_id, s.terminal_id, a.id AS account_id"
        " FROM settlement_scan s JOIN merchants_terminal t ON t.id = s.terminal_id"
        " JOIN settlement_account a ON a.member_id = s.member_id AND a.kind = 'personal'"
        " WHERE s.code = '' AND t.key_id IS NOT NULL ORDER BY s.id DESC LIMIT %s) AS latest",
        (SCANS_TO_NAME,),
    )
    server.execute("ANALYZE bench_scan")
    row = server.execute(
        "SELECT s.inputs::text, s.result::text, s.trace_hash, s.policy_id, s.benefit_year,"
        " y.amounts::text, i.body, (SELECT body FROM messaging_inboxentry WHERE path = 'scan'"
        " AND status = 201 ORDER BY id DESC LIMIT 1), (SELECT count(*) FROM bench_scan)"
        " FROM messaging_inboxentry i"
        " JOIN settlement_settlement s ON s.id = (i.body::jsonb ->> 'settlement_id')::uuid"
        " JOIN settlement_yeartodate y ON y.member_id = s.member_id"
        " AND y.benefit_year = s.benefit_year"
        " WHERE i.path = 'settle' AND i.status = 201 ORDER BY i.id DESC LIMIT 1"
    ).fetchone()
    if row is None:
        raise LookupError("nothing was settled yet whose rows could be imitated")
    inputs, result, trace_hash, policy, year, amounts, answer, scan_answer, scans = row
    return {
        "scans": str(scans),
        "lines": str(LINES_A_BILL),
        "inputs": inputs,
        "result": result,
        "hash": trace_hash,
        "policy": str(policy),
        "year": str(year),
        "amounts": amounts,
        "name": json.loads(answer)["lines"][0]["name"],
        "topic": TOPIC,
        "answer:settle": answer,
        "answer:scan": scan_answer,
    }


def run(
    script: str,
    variables: dict[str, str],
    *,
    pgbench: Path,
    environment: Mapping[str, str],
    seconds: int = 0,
    transactions: int = 0,
    clients: int = CLIENTS,
) -> Floor:
    """Run `bench/<script>.sql` for some seconds, or a number of transactions a client.

    `environment` says where, in libpq's variables (PGHOST, PGDATABASE ...).
    Raises RuntimeError when a transaction failed.
    """
    given = {name: text for name, text in variables.items() if ":" not in name}
    given["answer"] = variables[f"answer:{script}"]
    done = subprocess.run(
        [
            str(pgbench), "--no-vacuum", "--protocol", "prepared",
            "--client", str(clients), "--jobs", str(min(THREADS, clients)),
            "--file", str(FOLDER / f"{script}.sql"),
            *(["--time", str(seconds)] if seconds else ["--transactions", str(transactions)]),
            *(f"--define={name}={text}" for name, text in given.items()),
        ],
        env={**os.environ, **environment}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    rate = re.search(r"^tps = ([0-9.]+)", done.stdout, re.MULTILINE)
    count = re.search(r"actually processed: ([0-9]+)", done.stdout)
    failed = re.search(r"failed transactions: ([0-9]+)", done.stdout)
    if done.returncode or rate is None or count is None or (failed and failed[1] != "0"):
        raise RuntimeError(f"pgbench failed: {(done.stderr or done.stdout).strip()[-600:]}")
    return Floor(float(rate[1]), int(count[1]))


def hand_over(server: psycopg.Connection[Any]) -> int:
    """Make the floor's settlements work for the posting worker. Answers how many there are."""
    return server.execute(
        "UPDATE messaging_outboxentry SET topic = 'post_settlement', due_at = now()"
        " WHERE topic = %s",
        (TOPIC,),
    ).rowcount
