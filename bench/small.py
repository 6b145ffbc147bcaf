"""A small run: the demo data with eight terminals, on SQLite or a PostgreSQL of the bench's own, in
a process of its own. For benches that need no large area.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from bench.seed import connect
from bench.stack import ROOT, bench_folder, postgres, production_environment
from bench.terminals import LINES_A_BILL, TERMINALS, Terminal, terminal_key
from launch.console import Trouble

DATABASES = ("sqlite", "postgres")


def in_a_process_of_its_own(
    module: str, kind: str, arguments: list[str], *, more: Mapping[str, str] | None = None
) -> None:
    """Run `python -m module --inside --on kind` over a fresh database: Django knows one for good.
    `more` is environment. Raises Trouble."""
    folder = bench_folder(os.environ)
    name = module.rpartition(".")[2]
    run = folder / f"{name}-{kind}"
    shutil.rmtree(run, ignore_errors=True)
    run.mkdir()
    command = [sys.executable, "-m", module, "--inside", "--on", kind, *arguments]

    def measured(database_url: str) -> None:
        environment = production_environment(folder, database_url=database_url, broker_url="")
        # The demo data is for any start but a production one; nothing durable hangs on that.
        environment |= {
            "DEPLOYMENT": "embedded",
            "VAR_DIR": str(run),
            "SEAL_FILE": str(run / "seals.log"),
            **(more or {}),
        }
        done = subprocess.run(command, cwd=ROOT, env=environment, check=False)
        if done.returncode:
            raise Trouble(f"{kind} could not be measured: the reason stands above.")

    if kind == "sqlite":
        measured("")
        return
    database = f"{name}_bench"
    with postgres(folder) as cluster, connect(cluster) as server:
        server.execute(f"DROP DATABASE IF EXISTS {database} WITH (FORCE)")
        server.execute(f"CREATE DATABASE {database}")
        try:
            measured(cluster.url(database))
        finally:
            server.execute(f"DROP DATABASE IF EXISTS {database} WITH (FORCE)")


def demo_area() -> tuple[list[Terminal], list[int], list[tuple[str, str]]]:
    """The demo data with eight terminals: these, members with an account, goods with prices."""
    from django.conf import settings
    from django.core.management import call_command
    from django.utils import timezone

    from merchants import services as merchants
    from merchants.models import Item, Merchant
    from settlement.models import Account, CatalogueItem
    from settlement.services import demo
    from settlement.services.catalogue import load_policy_file
    from voucher.models import Member, Voucher

    now = timezone.now()
    call_command("migrate", verbosity=0)
    load_policy_file(path=ROOT / "policies" / "370300-2022.toml", now=now)
    demo.load_demo(folder=Path(settings.BASE_DIR) / "demo", now=now)
    pharmacy = Merchant.objects.get(code="P37030099001")
    terminals = []
    for number in range(TERMINALS):
        code = merchants.issue_enrolment_code(
            merchant_id=pharmacy.pk, name=f"bench {number}", now=now, lifetime_s=600
        )
        public_key = terminal_key(number).public_key().public_bytes_raw()
        row = merchants.enrol_terminal(
            one_time_code=code, public_key=public_key, name=f"bench {number}", now=now
        )
        terminals.append(Terminal(number, str(row.key_id), pharmacy.pk))
    active = Voucher.objects.filter(state="active").values("member_id")
    people = list(
        Member.objects.filter(
            pk__in=active,
            enrolments__entitlements__state="in_force",
            accounts__in=Account.objects.all(),
        )
        .distinct()
        .values_list("pk", flat=True)
    )
    free = CatalogueItem.objects.filter(prescription_only=False).values("national_code")
    goods = Item.objects.filter(merchant=pharmacy, national_code__in=free).order_by("code")
    return terminals, people, [(item.code, str(item.unit_price)) for item in goods[:LINES_A_BILL]]
