"""The database refuses a move that the written table of states (`settlement/states.py`) has not.

The moves stand here as they were when this was written; a test tries every pair of states against
the table, so that a change there needs a migration of its own.
"""

from django.db import migrations

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
_FUNCTION = """
CREATE OR REPLACE FUNCTION settlement_refuse_move() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% does not go from % to %', TG_TABLE_NAME, OLD.state, NEW.state
        USING ERRCODE = 'check_violation';
END $$
"""


def guard_states(apps, schema_editor):
    """A trigger a table, asked only where the state changes."""
    unguard_states(apps, schema_editor)
    run = schema_editor.execute
    postgresql = schema_editor.connection.vendor == "postgresql"
    if postgresql:
        run(_FUNCTION, params=None)
    for table, moves in MOVES.items():
        listed = ", ".join(f"'{before}>{after}'" for before, after in moves)
        when = f"OLD.state <> NEW.state AND OLD.state || '>' || NEW.state NOT IN ({listed})"
        if postgresql:
            run(
                f"CREATE TRIGGER {table}_moves_by_the_table BEFORE UPDATE OF state ON {table}"
                f" FOR EACH ROW WHEN ({when}) EXECUTE FUNCTION settlement_refuse_move()"
            )
        else:
            run(
                f"CREATE TRIGGER {table}_moves_by_the_table BEFORE UPDATE OF state ON {table}"
                f" WHEN {when} BEGIN SELECT RAISE(ABORT, '{table} does not move so'); END"
            )


def unguard_states(apps, schema_editor):
    """Take the triggers down that stand."""
    for table in MOVES:
        name = f"{table}_moves_by_the_table"
        on = f" ON {table}" if schema_editor.connection.vendor == "postgresql" else ""
        schema_editor.execute(f"DROP TRIGGER IF EXISTS {name}{on}")


class Migration(migrations.Migration):
    """Triggers only."""

    dependencies = [("settlement", "0010_shifts")]

    operations = [migrations.RunPython(guard_states, unguard_states)]
