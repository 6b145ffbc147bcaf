"""The database refuses a move that the written table of states (`settlement/states.py`) has not.

The moves stand here as they were when this was written.
"""

from django.db import migrations

from settlement.migrations._moves import guard_moves, unguard_moves

MOVES = {
    "settlement_quote": [
        ("live", "confirmed"),
        ("live", "expired"),
        ("live", "released"),
        ("live", "replaced"),
    ],
    "settlement_settlement": [("accepted", "posted")],
    "settlement_refund": [("accepted", "posted")],
    "settlement_tender": [
        ("asked", "authorised"),
        ("asked", "declined"),
        ("asked", "returning"),
        ("asked", "unknown"),
        ("authorised", "capturing"),
        ("authorised", "returning"),
        ("capturing", "captured"),
        ("capturing", "debt"),
        ("capturing", "returning"),
        ("debt", "captured"),
        ("received", "captured"),
        ("received", "returned"),
        ("returning", "returned"),
        ("unknown", "authorised"),
        ("unknown", "declined"),
        ("unknown", "returning"),
    ],
}


def guard_states(apps, schema_editor):
    """A trigger a table, asked only where the state changes."""
    guard_moves(MOVES, schema_editor)


def unguard_states(apps, schema_editor):
    """Take the triggers down that stand."""
    unguard_moves(MOVES, schema_editor)


class Migration(migrations.Migration):
    """Triggers only."""

    dependencies = [("settlement", "0010_shifts")]

    operations = [migrations.RunPython(guard_states, unguard_states)]
