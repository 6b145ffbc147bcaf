"""The triggers that guard the books, for the migrations that put them up.

A table that SQLite remakes (Django does so for most alterations) loses its triggers without a word,
and may not be remade while a trigger names it. So a migration that alters a guarded table begins
with `RunPython(lower_guards, raise_guards)` and ends with `RunPython(raise_guards, lower_guards)`;
the audit looks whether every guard stands, and a test whether it does when all migrations have run.
A table that a later migration makes is left out until it is there.
"""

# Append only, in the database itself: UPDATE and DELETE of a row are refused.
APPEND_ONLY = (
    "settlement_ledgertransaction",
    "settlement_posting",
    "settlement_sealbatch",
    "settlement_seal",
    "settlement_share",
    "settlement_refundshare",
    "settlement_relativeshare",
    "settlement_refundline",
    "settlement_relativerefund",
    "settlement_restatement",
    "settlement_restatedshare",
    "settlement_declaredmonth",
)

_POSTGRESQL_FUNCTIONS = (
    """
    CREATE OR REPLACE FUNCTION settlement_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE EXCEPTION '% is append only: % refused', TG_TABLE_NAME, TG_OP
            USING ERRCODE = 'restrict_violation';
    END $$
    """,
    """
    CREATE OR REPLACE FUNCTION settlement_leave_to_seal() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO settlement_toseal (transaction_id) SELECT id FROM written;
        RETURN NULL;
    END $$
    """,
)


def _append_only(schema_editor):
    """Those of the tables that there are by now."""
    there = set(schema_editor.connection.introspection.table_names())
    return [table for table in APPEND_ONLY if table in there]


def raise_guards(apps, schema_editor):
    """Put up every guard of a table that is there by now, again where it stands already."""
    lower_guards(apps, schema_editor)
    run = schema_editor.execute
    append_only = _append_only(schema_editor)
    if schema_editor.connection.vendor == "postgresql":
        for function in _POSTGRESQL_FUNCTIONS:
            # Without parameters, so that % is no mark of any.
            run(function, params=None)
        for table in append_only:
            # A row at a time: TRUNCATE, which empties test databases, is refused by grants instead.
            run(
                f"CREATE TRIGGER {table}_is_append_only BEFORE UPDATE OR DELETE ON {table}"
                " FOR EACH ROW EXECUTE FUNCTION settlement_refuse_change()"
            )
        run(
            "CREATE TRIGGER settlement_ledgertransaction_is_to_be_sealed"
            " AFTER INSERT ON settlement_ledgertransaction REFERENCING NEW TABLE AS written"
            " FOR EACH STATEMENT EXECUTE FUNCTION settlement_leave_to_seal()"
        )
        return
    for table in append_only:
        for act in ("UPDATE", "DELETE"):
            run(
                f"CREATE TRIGGER {table}_refuses_{act.lower()} BEFORE {act} ON {table}"
                f" BEGIN SELECT RAISE(ABORT, '{table} is append only: {act} refused'); END"
            )
    run(
        "CREATE TRIGGER settlement_ledgertransaction_is_to_be_sealed"
        " AFTER INSERT ON settlement_ledgertransaction"
        " BEGIN INSERT INTO settlement_toseal (transaction_id) VALUES (NEW.id); END"
    )


def lower_guards(apps, schema_editor):
    """Take down every guard that stands."""
    run = schema_editor.execute
    names = ["settlement_ledgertransaction_is_to_be_sealed"]
    tables = ["settlement_ledgertransaction"]
    append_only = _append_only(schema_editor)
    if schema_editor.connection.vendor == "postgresql":
        names += [f"{table}_is_append_only" for table in append_only]
        tables += append_only
        for name, table in zip(names, tables, strict=True):
            run(f"DROP TRIGGER IF EXISTS {name} ON {table}")
        return
    names += [f"{table}_refuses_{act}" for table in append_only for act in ("update", "delete")]
    for name in names:
        run(f"DROP TRIGGER IF EXISTS {name}")
