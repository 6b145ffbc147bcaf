"""The triggers that refuse a move between states, for the migrations that put them up.

A migration names the moves as they are when it is written; a test tries every pair of states
against `settlement/states.py`, so that a change there needs a migration of its own.
"""

_FUNCTION = """
CREATE OR REPLACE FUNCTION settlement_refuse_move() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% does not go from % to %', TG_TABLE_NAME, OLD.state, NEW.state
        USING ERRCODE = 'check_violation';
END $$
"""


def guard_moves(moves_by_table, schema_editor):
    """A trigger a table, asked only where the state changes."""
    unguard_moves(moves_by_table, schema_editor)
    run = schema_editor.execute
    postgresql = schema_editor.connection.vendor == "postgresql"
    if postgresql:
        run(_FUNCTION, params=None)
    for table, moves in moves_by_table.items():
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


def unguard_moves(moves_by_table, schema_editor):
    """Take the triggers down that stand."""
    for table in moves_by_table:
        name = f"{table}_moves_by_the_table"
        on = f" ON {table}" if schema_editor.connection.vendor == "postgresql" else ""
        schema_editor.execute(f"DROP TRIGGER IF EXISTS {name}{on}")
