"""`manage.py demo_purchase`: one real pharmacy purchase over HTTP, from one-time code to ledger.

The till's half is the vendors' client package and nothing else; only the citizen's half (her code,
her prescription) and the operator's one-time code are made in this process. What is bought stands
in `demo/purchase.toml`. With --journey the code is drawn and read back by an independent decoder,
the slip is printed, and the books are checked.
"""

import io
import sys
import time
import tomllib
from argparse import ArgumentParser
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db.models import Sum
from django.utils import timezone
from django.utils.translation import gettext as _
from rich.cells import cell_len, chop_cells

from merchants import services as merchants
from merchants.models import Merchant
from messaging.days import BEIJING
from messaging.refusals import Refusal
from settlement.models import Account, Posting
from settlement.money import yuan
from settlement.services import demo
from settlement.services.acceptance import POST_SETTLEMENT
from voucher import images, tokens
from voucher import services as vouchers
from voucher.models import Member

# The client is a package of its own, for vendors to install; here it is used from where it lies.
sys.path.append(str(Path(settings.BASE_DIR) / "clients" / "python"))

from ybm_client import ClientError, Terminal

_WIDTH = 64
_LOOK_EVERY_S = 0.2


class Command(BaseCommand):
    """Exits 0 when the purchase is posted, else 1 with the reason in one sentence."""

    help = "Drive one pharmacy purchase of the demo member over HTTP and wait until it is posted."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Where the server is, and how much to show."""
        parser.add_argument("--base-url", default="http://127.0.0.1:8000")
        parser.add_argument(
            "--journey",
            action="store_true",
            help="draw the code, read it back by another decoder, print the slip, check the books",
        )
        parser.add_argument(
            "--timeout", type=float, default=30.0, help="seconds to wait for the posting"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Buy, and turn whatever goes wrong into a sentence."""
        folder = Path(settings.BASE_DIR) / "demo"
        plan = tomllib.loads((folder / "purchase.toml").read_text())
        try:
            member = Member.objects.get(number=plan["member"])
            merchant = Merchant.objects.get(code=plan["institution"])
        except (Member.DoesNotExist, Merchant.DoesNotExist):
            raise CommandError("the demo data is not loaded: manage.py load_demo") from None
        try:
            self._buy(plan, member=member, merchant=merchant, folder=folder, options=options)
        except ClientError as error:
            raise CommandError(f"{type(error).__name__}: {error}") from None
        except Refusal as refusal:
            raise CommandError(f"{refusal.code}: {refusal.sentence()}") from None

    def _buy(
        self,
        plan: dict[str, Any],
        *,
        member: Member,
        merchant: Merchant,
        folder: Path,
        options: dict[str, Any],
    ) -> None:
        balance_before = Account.objects.get(member=member).balance_fen
        one_time_code = merchants.issue_enrolment_code(
            merchant_id=merchant.pk, name="demo till", now=timezone.now(), lifetime_s=600
        )
        till = Terminal.enrol(options["base_url"], one_time_code, name="demo till")
        self._say(f"terminal {till.key_id} enrolled for {till.merchant['name']}")

        code = self._shown_code(member, drawn=options["journey"])
        scan = till.scan(code, plan["use"])
        covered = ", ".join(
            entry["disease_name"] for entry in scan["benefits"] if "disease_name" in entry
        )
        self._say(f"scanned {scan['member']['name']}, {scan['entitlement']['state']}: {covered}")

        prescription = demo.usable_prescription(folder=folder, now=timezone.now())
        lines = [self._line(till, entry, prescription) for entry in plan["line"]]
        quote = till.quote(
            scan_id=scan["scan_id"],
            benefit_kind=plan["benefit_kind"],
            disease_code=plan["disease_code"],
            account_limit_fen=plan["account_limit_fen"],
            lines=lines,
        )
        self._say(f"quoted {_shares(quote)}")
        begun = time.perf_counter()
        settled = till.settle(quote["quote_id"], cash_fen=quote["cash_fen"])
        took_ms = (time.perf_counter() - begun) * 1000
        self._say(f"settled {settled['settlement_id']} in {took_ms:.0f} ms")
        posted = self._wait_until_posted(till, settled["settlement_id"], options["timeout"])
        slip = till.slip(settled["settlement_id"])["slip"]
        till.close()
        # Its key ends with this process: a till that nobody can be is no till.
        merchants.revoke_terminal(terminal_id=till.terminal_id, now=timezone.now())
        _check_slip(slip, billed_fen=sum(line["amount_fen"] for line in lines))
        if options["journey"]:
            _check_books(slip, member=member, balance_before_fen=balance_before)
            self._print_slip(slip)
            self._say("the shares make the bill, and the ledger's legs sum to zero")
        self._say(f"posted at {posted['posted_at']}: {_shares(posted)}")

    def _say(self, text: str) -> None:
        self.stdout.write(text)
        self.stdout.flush()

    def _shown_code(self, member: Member, *, drawn: bool) -> str:
        """What the scanner reads: the citizen's code, through a picture where one is drawn."""
        minted = vouchers.mint_code(
            member_id=member.pk,
            scope=tokens.Scope(),
            now=timezone.now(),
            lifetime_s=settings.CODE_LIFETIME_S,
        )
        if not drawn:
            return minted.text
        picture = images.render(minted.text, form="png")
        read = _read_back(picture)
        if read != minted.text:
            raise CommandError("the decoder read something else than was drawn")
        self._say(f"code of {len(read)} digits read back from a PNG of {len(picture)} bytes")
        return read

    def _line(self, till: Terminal, entry: dict[str, Any], prescription: str) -> dict[str, Any]:
        """A bill line for a pack that was scanned at the counter."""
        found = [
            item for item in till.items(entry["barcode"]) if item["barcode"] == entry["barcode"]
        ]
        if not found:
            raise CommandError(f"the pharmacy has no item with bar code {entry['barcode']}")
        item = found[0]
        amount = Decimal(item["unit_price"]) * Decimal(entry["quantity"]) * 100
        line = {
            "code": item["code"],
            "quantity": entry["quantity"],
            "unit_price": item["unit_price"],
            # Half a fen goes up: the till and the server both tolerate half a fen either way.
            "amount_fen": int(amount.quantize(Decimal(1), ROUND_HALF_UP)),
        }
        if entry.get("prescribed"):
            line["prescription"] = prescription
        self._say(f"  {item['name']} × {entry['quantity']}: ¥{yuan(line['amount_fen'])}")
        return line

    def _wait_until_posted(
        self, till: Terminal, settlement_id: str, timeout_s: float
    ) -> dict[str, Any]:
        patient_until = time.monotonic() + timeout_s
        while True:
            found: dict[str, Any] = till.settlement(settlement_id)
            if found["state"] == "posted":
                return found
            if time.monotonic() > patient_until:
                raise CommandError(
                    f"settlement {settlement_id} is {found['state']}, not posted, after"
                    f" {timeout_s:.0f} s: is a worker running?"
                )
            time.sleep(_LOOK_EVERY_S)

    def _print_slip(self, slip: dict[str, Any]) -> None:
        """The one-bill slip (一单制结算单), as a counter's printer would have it."""
        rule = "-" * _WIDTH
        rows = [
            "=" * _WIDTH,
            _centred(_("Medical-insurance settlement slip")),
            rule,
            _pair(_("Institution"), f"{slip['merchant']['name']} {slip['merchant']['code']}"),
            _pair(_("Insured person"), slip["member"]["name"]),
            _pair(_("Settlement"), slip["settlement_id"]),
            _pair(_("Accepted at"), _in_beijing(slip["accepted_at"])),
            rule,
        ]
        for line in slip["lines"]:
            name = f"{line['no']}. {line['name']} × {line['quantity']}"
            rows.append(_pair(name, yuan(line["amount_fen"])))
        rows += [rule, _pair(_("Total"), yuan(slip["total_fen"]))]
        names = {"pool": _("Pooled fund"), "account": _("Personal account"), "cash": _("Cash")}
        for share in slip["shares"]:
            payer = names.get(share["payer"], share["payer"])
            rows.append(_pair(f"  {payer}", yuan(share["amount_fen"])))
        rows.append(rule)
        for sentence in slip["explanation"]:
            rows += chop_cells(sentence, _WIDTH)
        rows.append(rule)
        rows += [_pair(_("Policy"), slip["policy"]), "=" * _WIDTH]
        for row in rows:
            self._say(row)


def _read_back(picture: bytes) -> str:
    try:
        import zxingcpp
        from PIL import Image
    except ImportError:
        raise CommandError(
            "the independent decoder is not installed: pip install -r requirements-dev.txt"
        ) from None
    with Image.open(io.BytesIO(picture)) as image:
        found = zxingcpp.read_barcodes(image)
    if len(found) != 1:
        raise CommandError(f"the decoder found {len(found)} codes in the picture")
    return str(found[0].text)


def _check_slip(slip: dict[str, Any], *, billed_fen: int) -> None:
    paid_fen = sum(share["amount_fen"] for share in slip["shares"])
    listed_fen = sum(line["amount_fen"] for line in slip["lines"])
    if not paid_fen == listed_fen == slip["total_fen"] == billed_fen:
        raise CommandError(
            f"the shares come to {yuan(paid_fen)}, the lines to {yuan(listed_fen)}, the total is"
            f" {yuan(slip['total_fen'])} and the bill was {yuan(billed_fen)}"
        )


def _check_books(slip: dict[str, Any], *, member: Member, balance_before_fen: int) -> None:
    """The ledger balances, and the account went down by exactly its share."""
    legs = Posting.objects.filter(transaction__key=f"{POST_SETTLEMENT}:{slip['settlement_id']}")
    if not legs.exists() or legs.aggregate(sum=Sum("amount_fen"))["sum"] != 0:
        raise CommandError("the ledger has no transaction of this settlement that sums to zero")
    left_fen = Account.objects.get(member=member).balance_fen
    if balance_before_fen - left_fen != slip["account_fen"]:
        raise CommandError(
            f"the account went from {yuan(balance_before_fen)} to {yuan(left_fen)}, but its share"
            f" is {yuan(slip['account_fen'])}"
        )


def _shares(answer: dict[str, Any]) -> str:
    parts = (f"{share['payer']} {yuan(share['amount_fen'])}" for share in answer["shares"])
    return f"¥{yuan(answer['total_fen'])} = {' + '.join(parts)}"


def _in_beijing(moment: str) -> str:
    local = datetime.fromisoformat(moment.replace("Z", "+00:00")).astimezone(BEIJING)
    return f"{local:%Y-%m-%d %H:%M:%S}"


def _pair(left: str, right: str) -> str:
    # Chinese characters are two columns wide on a terminal and on a counter's printer.
    gap = max(1, _WIDTH - cell_len(left) - cell_len(right))
    return left + " " * gap + right


def _centred(text: str) -> str:
    return " " * ((_WIDTH - cell_len(text)) // 2) + text
