"""The commands around the books, and the nightly task, say what they did."""

import logging
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from messaging.days import business_date
from settlement.models import AuditRun, DayTotal, SealBatch
from settlement.selectors.overview import overview
from settlement.tasks import audit_the_ledger
from tests.settlement.test_ledger_audit import sell
from tests.world import World


def said(*arguments: str) -> str:
    out = StringIO()
    call_command(*arguments, stdout=out)
    return out.getvalue()


@pytest.fixture
def sold(world: World) -> World:
    """Something sold and posted."""
    sell(world, world.till())
    world.post_everything()
    return world


def test_seal_ledger_seals_folds_and_rotates(sold: World, seal_file: Path) -> None:
    assert "1" in said("seal_ledger")
    assert SealBatch.objects.get().key_id == 1
    before = set(DayTotal.objects.values_list("heading", "amount_fen"))
    sell(sold, sold.till(name="till 2"))
    sold.post_everything()
    said("seal_ledger", "--new-key")
    assert SealBatch.objects.get(number=2).key_id == 2
    said("seal_ledger", "--fold-anew")
    after = dict(DayTotal.objects.values_list("heading", "amount_fen"))
    assert after == {heading: 2 * fen for heading, fen in before}
    seal_file.write_text("nonsense\n")
    with pytest.raises(CommandError):
        said("seal_ledger")


def test_ledger_balance_answers_now_at_a_moment_and_at_a_seal(sold: World) -> None:
    said("seal_ledger")
    account = f"member:{sold.retiree.pk}:personal"
    assert "-18.60" in said("ledger_balance", account)
    assert "-18.60" in said("ledger_balance", account, "--seal", "1")
    assert "-18.60" in said("ledger_balance", account, "--at", "2999-01-01T00:00:00")
    for arguments in (["--seal", "0"], ["--at", "2000-01-01T00:00:00+08:00"]):
        with pytest.raises(CommandError):
            said("ledger_balance", account, *arguments)
    with pytest.raises(CommandError):
        said("ledger_balance", account, "--at", "yesterday")


def test_ledger_grants_name_the_role_safely() -> None:
    text = said("ledger_grants", 'a"b')
    assert 'FROM "a""b";' in text
    assert "REVOKE UPDATE, DELETE, TRUNCATE ON" in text
    assert "settlement_posting" in text


def test_the_nightly_audit_keeps_its_report_and_logs_what_is_wrong(
    sold: World, caplog: pytest.LogCaptureFixture
) -> None:
    def verdict() -> bool | None:
        now = datetime.now(UTC)
        return overview(day=business_date(now), now=now)["audit_sound"]  # type: ignore[no-any-return]

    assert verdict() is None
    # The world's accounts were not opened in the ledger, which is just what an audit notices.
    with caplog.at_level(logging.ERROR):
        audit_the_ledger()
    assert AuditRun.objects.get().sound is False
    assert f"member:{sold.retiree.pk}:personal" in caplog.text
    assert verdict() is False
    report = AuditRun.objects.get().report
    assert [check["check"] for check in report["checks"] if check["wrong"]] == ["balances"]
