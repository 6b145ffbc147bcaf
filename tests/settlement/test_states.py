"""The written table of states: read by itself, and enforced by the database."""

import pytest
from django.db import DatabaseError, connection, transaction

from settlement import states
from settlement.models import (
    Quote,
    Refund,
    RefundApproval,
    Settlement,
    Tender,
)
from tests.settlement.declared_world import declare_long_ago
from tests.world import World, line

ENTITIES: tuple[states.Entity, ...] = ("quote", "settlement", "refund", "tender", "approval")


def test_an_event_leads_where_the_table_says_and_only_for_whoever_may() -> None:
    line_ = states.transition("quote", "live", "release", who="citizen")
    assert (line_.next, line_.posts) == ("released", "nothing")
    assert states.transition("settlement", "", "accept", who="till").posts == "settlement"
    for entity, state, event, who in (
        ("quote", "live", "confirm", "citizen"),
        ("quote", "confirmed", "release", "till"),
        ("settlement", "posted", "post", "worker"),
        ("settlement", "", "accept", "worker"),
    ):
        with pytest.raises(states.IllegalTransition):
            states.transition(entity, state, event, who=who)  # type: ignore[arg-type]


@pytest.mark.parametrize("entity", ENTITIES)
def test_every_state_is_reached_and_some_are_final(entity: states.Entity) -> None:
    reached, before = {""}, 0
    while len(reached) > before:
        before = len(reached)
        reached |= {
            row.next for row in states.TABLE if row.entity == entity and row.state in reached
        }
    assert reached - {""} == set(states.states_of(entity))
    assert states.final_states(entity)


def test_what_an_event_meets_and_leads_to_can_be_asked() -> None:
    assert states.sources("quote", "run_out") == ("live",)
    assert states.target("quote", "run_out") == "expired"
    with pytest.raises(KeyError):
        states.target("quote", "fly")


def _a_row(world: World, entity: states.Entity) -> type:
    till = world.till()
    bill = {
        "scan_id": world.scan(till),
        "benefit_kind": "pharmacy_account",
        "lines": [line("A4", "60", "18.6")],
    }
    quote = till.post("quotes", bill)
    if entity == "quote":
        return Quote
    if entity == "tender":
        part = {"kind": "cash", "amount_fen": quote["cash_fen"]}
        reply = till.post(f"quotes/{quote['quote_id']}/tender", {"parts": [part]})
        assert reply.status in (200, 201), reply.text
        return Tender
    settled = till.post("settlements", {"quote_id": quote["quote_id"]})
    if entity == "settlement":
        return Settlement
    if entity == "approval":
        declare_long_ago(settled["settlement_id"])
    till.post("refunds", {"settlement_id": settled["settlement_id"], "reason": "x"})
    return RefundApproval if entity == "approval" else Refund


@pytest.mark.parametrize("entity", ENTITIES)
def test_the_database_allows_the_moves_of_the_table_and_no_other(
    world: World, entity: states.Entity
) -> None:
    model = _a_row(world, entity)
    table = model._meta.db_table
    # A posted row has its moment, and what may be refused by that is not what is asked here.
    moment = ", posted_at = NULL" if entity in ("settlement", "refund") else ""
    trigger = f"{table}_moves_by_the_table"
    allowed = states.allowed_moves(entity)
    tried = 0
    for before in states.states_of(entity):
        for after in states.states_of(entity):
            moved = _moves(table, trigger, before, after, moment)
            if moved is None:
                continue
            tried += 1
            assert moved is ((before, after) in allowed), (entity, before, after)
    # Some states of a tender ask for more of its row than this one has.
    assert tried >= len(states.states_of(entity)) ** 2 // 3


def _moves(table: str, trigger: str, before: str, after: str, moment: str) -> bool | None:
    """Whether the trigger lets the row go from one state to the other; None where the row cannot be
    brought into the first."""
    placed = False
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            _put(cursor, table, trigger, before, moment)
            placed = True
            posted = ", posted_at = CURRENT_TIMESTAMP" if after == "posted" else ""
            cursor.execute(f"UPDATE {table} SET state = %s{posted}", [after])
            raise _Undo
    except _Undo:
        return True
    except DatabaseError as error:
        # Another guard of the row speaks after this one, which then has let it pass.
        said = str(error)
        refused = "does not move so" in said or "does not go from" in said
        return (not refused) if placed else None


class _Undo(Exception):
    pass


def _put(cursor: object, table: str, trigger: str, state: str, moment: str) -> None:
    """Bring the row to a state, without asking the trigger."""
    run = cursor.execute  # type: ignore[attr-defined]
    posted = ", posted_at = CURRENT_TIMESTAMP" if state == "posted" and moment else moment
    if connection.vendor == "postgresql":
        run("SET LOCAL session_replication_role = replica")
        run(f"UPDATE {table} SET state = %s{posted}", [state])
        run("SET LOCAL session_replication_role = origin")
        return
    run("SELECT sql FROM sqlite_master WHERE name = %s", [trigger])
    (statement,) = cursor.fetchone()  # type: ignore[attr-defined]
    run(f"DROP TRIGGER {trigger}")
    run(f"UPDATE {table} SET state = %s{posted}", [state])
    run(statement)
