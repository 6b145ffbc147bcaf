"""The triggers that make the books append only, and put what is new before the sealer, stand."""

from django.db import connection
from django.utils.translation import gettext as _

from messaging import sql

from .findings import Report

_APPEND_ONLY = (
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
_TO_BE_SEALED = ("settlement_ledgertransaction", "settlement_ledgertransaction_is_to_be_sealed")


def check_guards(report: Report) -> None:
    """A guard that is missing, or on PostgreSQL disabled, is wrong: rows may have been changed."""
    if connection.vendor == "postgresql":
        wanted = {(table, f"{table}_is_append_only") for table in _APPEND_ONLY}
        found = sql.fetch(
            "SELECT tgrelid::regclass::text, tgname FROM pg_trigger"
            " WHERE NOT tgisinternal AND tgenabled IN ('O', 'A')"
        )
    else:
        wanted = {
            (table, f"{table}_refuses_{act}")
            for table in _APPEND_ONLY
            for act in ("update", "delete")
        }
        found = sql.fetch("SELECT tbl_name, name FROM sqlite_master WHERE type = 'trigger'")
    wanted.add(_TO_BE_SEALED)
    check = report["guards"]
    check.looked_at += len(wanted)
    for table, name in sorted(wanted - {(row[0], row[1]) for row in found}):
        check.found(
            _("the trigger %(name)s of %(table)s does not stand") % {"name": name, "table": table}
        )
