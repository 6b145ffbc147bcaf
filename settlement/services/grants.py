"""What the application's role may do in PostgreSQL: everything but change the books.

Triggers refuse a change whoever asks for it; grants refuse it before that, and refuse TRUNCATE and
the taking down of triggers, at which no trigger of a row is asked. That takes a role that does not
own the tables.
"""

# Rows are added and never changed.
APPEND_ONLY = (
    "settlement_ledgertransaction",
    "settlement_posting",
    "settlement_sealbatch",
    "settlement_seal",
    "settlement_sealkey",
    "settlement_share",
    "settlement_refundshare",
    "settlement_relativeshare",
    "settlement_refundline",
    "settlement_relativerefund",
    "settlement_restatement",
    "settlement_restatedshare",
    "settlement_declaredmonth",
    "settlement_closedday",
    "settlement_auditrun",
    "settlement_staffact",
)


def grants(role: str) -> list[str]:
    """Statements for the tables' owner to run, again after every migration."""
    name = '"' + role.replace('"', '""') + '"'
    return [
        f"GRANT USAGE ON SCHEMA public TO {name}",
        f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {name}",
        f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {name}",
        f"REVOKE UPDATE, DELETE, TRUNCATE ON {', '.join(APPEND_ONLY)} FROM {name}",
        f"REVOKE INSERT, UPDATE, DELETE ON django_migrations FROM {name}",
    ]
