"""Members' accounts: the stored balance is what the entries say."""

from collections.abc import Mapping

from django.utils.translation import gettext as _

from messaging.snapshots import stream

from .findings import Progress, Report

# Stored balance, and what is due: posted legs, and what unposted bills gave or got back.
_BALANCES = """
SELECT account, sum(stored), sum(due) FROM (
    SELECT 'member:' || member_id || ':' || kind AS account, balance_fen AS stored, 0 AS due
        FROM settlement_account
    UNION ALL
    SELECT account, 0, amount_fen FROM settlement_posting
        WHERE account >= 'member:' AND account < 'member;'
    UNION ALL
    SELECT 'member:' || s.member_id || ':personal', 0, -h.amount_fen
        FROM settlement_settlement s JOIN settlement_share h ON h.settlement_id = s.id
        WHERE s.state = 'accepted' AND h.payer = 'account'
    UNION ALL
    SELECT 'member:' || a.member_id || ':' || a.kind, 0, -p.amount_fen
        FROM settlement_settlement s JOIN settlement_relativeshare p ON p.settlement_id = s.id
        JOIN settlement_account a ON a.id = p.account_id
        WHERE s.state = 'accepted'
    UNION ALL
    SELECT 'member:' || r.member_id || ':personal', 0, h.amount_fen
        FROM settlement_refund r JOIN settlement_refundshare h ON h.refund_id = r.id
        WHERE r.state = 'accepted' AND h.payer = 'account'
    UNION ALL
    SELECT 'member:' || a.member_id || ':' || a.kind, 0, p.amount_fen
        FROM settlement_refund r JOIN settlement_relativerefund p ON p.refund_id = r.id
        JOIN settlement_account a ON a.id = p.account_id
        WHERE r.state = 'accepted'
) AS entries GROUP BY account ORDER BY account
"""


def check_accounts(report: Report, *, opening: Mapping[str, int], progress: Progress) -> None:
    """Balance = opening + posted legs + legs of what is accepted and unposted; never negative.

    `opening` is what accounts held before there was a ledger, in fen by account name. What an
    import brought in is a ledger transaction of its own and not part of it.
    """
    check = report["balances"]
    for account, stored, due in stream(_BALANCES):
        if check.looked_at % 1_000 == 0:
            progress(_("balances"), check.looked_at, check.looked_at)
        check.looked_at += 1
        expected = int(due) + opening.get(account, 0)
        if int(stored) != expected:
            check.found(
                _("%(account)s holds %(stored)s fen, its entries say %(expected)s")
                % {"account": account, "stored": int(stored), "expected": expected}
            )
        elif stored < 0:
            check.found(
                _("%(account)s is below zero: %(stored)s fen")
                % {"account": account, "stored": int(stored)}
            )
