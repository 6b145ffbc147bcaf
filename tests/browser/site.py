"""A whole site for browser tests, in processes of its own: `python -m tests.browser.site PORT`.

The world of `tests/world.py` and a city with a hospital, with logins, on a database in VAR_DIR,
behind the real web server, with the posting sweep beside it. Prints "ready" on a line of its own
once the data is there.
"""

import json
import os
import signal
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import django

if TYPE_CHECKING:
    from tests.world import World

PASSWORD = "correct horse battery"
# A second version of the region's rules, which is not in force, and the rules of another region.
OTHER_VERSION = "370300-2099.1"
OTHER_AREA = "210100-2021.1"


def prepare() -> None:
    """Migrate, make the world and its logins."""
    from django.contrib.auth.models import Group, User
    from django.core.management import call_command

    from merchants import services as merchants
    from portal.roles import FUND_GROUP
    from settlement.services.tender import credit
    from tests.browser import sales
    from tests.world import World

    call_command("migrate", verbosity=0)
    world = World.made()
    prescription = world.prescription()
    # Nothing in the account, so that a bill is paid in cash, and a line of credit.
    payer = World.person("赵付款", number="370300000003", balance_fen=0)
    credit.grant(member_id=payer.pk, limit_fen=5_000)
    people = ((world.retiree, "citizen"), (world.worker, "worker"), (payer, "payer"))
    for member, name in people:
        member.user = User.objects.create_user(name, password=PASSWORD)
        member.save(update_fields=["user"])
    for merchant, name, shown in (
        (world.pharmacy, "pharmacist", "赵柜台"),
        (world.clinic, "cashier", "钱收费"),
    ):
        user = User.objects.create_user(name, password=PASSWORD)
        merchants.add_operator(merchant_id=merchant.pk, user=user, code="0001", name=shown)
    hospital_in_a_city()
    fund = User.objects.create_user("fund", password=PASSWORD)
    fund.groups.add(Group.objects.create(name=FUND_GROUP))
    User.objects.create_user("nobody", password=PASSWORD)
    _more_rules()
    _returns_that_wait(world)
    print(f"prescription {prescription}", flush=True)
    print(f"sales {json.dumps(sales.made(world, PASSWORD))}", flush=True)


def _more_rules() -> None:
    from datetime import date
    from hashlib import sha256

    from django.utils import timezone

    from settlement.models import Policy
    from tests.world import POLICY_FILE

    text = POLICY_FILE.read_text(encoding="utf-8")
    later = text.replace("370300-2022.1", OTHER_VERSION).replace("amount = 1000", "amount = 900")
    other = POLICY_FILE.with_name("210100-2021.toml").read_text(encoding="utf-8")
    for area, version, since, rules in (
        ("370300", OTHER_VERSION, date(2099, 1, 1), later),
        ("210100", OTHER_AREA, date(2021, 1, 1), other),
    ):
        Policy.objects.create(
            area_code=area, version=version, from_date=since, text=rules,
            sha256=sha256(rules.encode()).hexdigest(), loaded_at=timezone.now(),
        )  # fmt: skip


def _returns_that_wait(world: "World") -> None:
    """Of a customer of their own, into a month that is declared for clearing: one stays for the
    tests of the page's look when the others are decided."""
    from django.test.utils import override_settings

    from tests.settlement.declared_world import Counter, declare_long_ago, sold
    from tests.world import line

    person = world.person("周退货", number="370300000021", category="retired")
    till = world.till(name="前台 2")
    long = "顾客对药物过敏，医生已换药，原处方作废；药品未拆封，连同小票一并退回"
    # The name under which the tills of tests send.
    with override_settings(ALLOWED_HOSTS=["testserver"]):
        for lines, reason in (
            ([line("A4", "3", "18.6"), line("A5", "2", "128")], "规格买错，未拆封"),
            ([line("A4", "1", "18.6")], long),
            ([line("A4", "2", "18.6")], "多买了"),
            ([line("A4", "5", "18.6")], "开错了"),
        ):
            scan_id = world.scan(till, member=person)
            bill = sold(world, till, *lines, scan_id=scan_id, benefit_kind="pharmacy_account")
            declare_long_ago(bill["settlement_id"])
            Counter(world, till, bill).asked(reason=reason)


def hospital_in_a_city() -> None:
    """An area whose policy has stays: a hospital with its cashier, a patient with a phone, and
    somebody who lay in hospital before this system was there and pays from a child's account."""
    from datetime import timedelta

    from django.contrib.auth.models import User
    from django.utils import timezone

    from merchants import services as merchants
    from messaging.days import business_date
    from settlement.models import Visit
    from tests.city import CATALOGUE, City, share_account

    city = City.made("350500")
    merchants.save_items(
        merchant_id=city.hospital.pk,
        items=[
            merchants.ItemInput(
                code=f"H-{code}", barcode="", name=name, unit_price="500", national_code=code
            )
            for code, name, _class, _first_pay, _group in CATALOGUE
        ],
    )
    merchants.add_operator(
        merchant_id=city.hospital.pk,
        user=User.objects.create_user("ward", password=PASSWORD),
        code="0001",
        name="孙住院",
    )
    for number, name, balance_fen in ((11, "patient", 100_000), (12, "inmate", 0)):
        member = city.person(number, balance_fen=balance_fen)
        member.user = User.objects.create_user(name, password=PASSWORD)
        member.save(update_fields=["user"])
    share_account(city.person(13), member)
    now = timezone.now()
    Visit.objects.create(
        merchant=city.hospital,
        member=member,
        kind="inpatient",
        department="老年科",
        admission_date=business_date(now) - timedelta(days=9),
        opened_at=now - timedelta(days=9),
        business_date=business_date(now) - timedelta(days=9),
    )


def _end_with_our_starter() -> None:
    sys.stdin.read()
    os.killpg(os.getpgrp(), signal.SIGTERM)


def serve(port: int) -> int:
    """Answer until stopped, posting beside it. The web server is a process of its own: it forks its
    workers, and a fork of a process with threads may inherit locks that nobody will release."""
    from django.utils import timezone

    from settlement.sweep import Sweep, drive_all

    granian = [
        "granian", "--interface", "wsgi", "--no-ws", "--workers", "1", "--blocking-threads", "4",
        "--host", "127.0.0.1", "--port", str(port), "config.wsgi:application",
    ]  # fmt: skip
    web = subprocess.Popen([sys.executable, "-m", *granian], stdin=subprocess.DEVNULL)
    Sweep(clock=timezone.now, every_s=0.3, batch=50).start()
    Sweep(clock=timezone.now, every_s=0.3, batch=20, name="tender sweep", work=drive_all).start()
    if not sys.stdin.isatty():
        threading.Thread(target=_end_with_our_starter, daemon=True).start()
    return web.wait()


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    django.setup()
    prepare()
    print("ready", flush=True)
    sys.exit(serve(int(sys.argv[1])))
