"""A terminal: one key, one merchant, and the calls a counter makes.

Every write goes out under an idempotency key and may be sent again under it: the server does it
once. Every answer is verified before a word of it is believed. Amounts are integer fen.
"""

from __future__ import annotations

import base64
import json
import os
import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote as percent_encoded
from urllib.parse import urlencode

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ybm_client.errors import AnswerNotTrusted, OutcomeUnknown, Refused
from ybm_client.exchange import NOT_NOW, AnswerKeys, Exchange, Json, json_object
from ybm_client.transport import NoAnswer, NotTheServer, Transport

API = "/api/v1"
TIMEOUT_S = 6.0
# The first repetition is immediate: most often a kept connection had gone stale.
PAUSES_S = (0.0, 0.5, 1.5)


def _raw_public(key: Ed25519PrivateKey) -> str:
    raw = key.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


class Terminal:
    """One enrolled terminal. Made by `enrol` once, then by `load`. Safe to share by threads.

    Every call answers the server's JSON as a dict, or raises Refused (the server said no),
    OutcomeUnknown (no answer), AnswerNotTrusted (an answer that is not provably the server's).
    A write takes `idempotency_key`, a new uuid4 where none is given; to be able to ask after a
    crash, make the key yourself and write it down before the call.
    """

    def __init__(
        self,
        *,
        base_url: str,
        terminal_id: int,
        key_id: str,
        private_key: Ed25519PrivateKey,
        merchant: Mapping[str, Any],
        answer_keys: Iterable[Mapping[str, Any]],
        ca_file: str | None = None,
        language: str = "zh-hans",
        timeout_s: float = TIMEOUT_S,
        pauses_s: Iterable[float] = PAUSES_S,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.base_url = base_url
        self.terminal_id = terminal_id
        self.key_id = key_id
        self.merchant = dict(merchant)
        self.language = language
        self.ca_file = ca_file
        self._private_key = private_key
        self._transport = Transport(base_url, timeout_s=timeout_s, ca_file=ca_file)
        self._exchange = Exchange(
            self._transport,
            key=private_key,
            key_id=key_id,
            answer_keys=AnswerKeys(answer_keys),
            language=language,
            pauses_s=pauses_s,
            clock=clock,
            sleep=sleep,
        )

    # -- enrolment and keeping

    @classmethod
    def enrol(
        cls,
        base_url: str,
        one_time_code: str,
        *,
        name: str,
        ca_file: str | None = None,
        timeout_s: float = TIMEOUT_S,
        **options: Any,
    ) -> Terminal:
        """Make a key, hand its public half in under the one-time code, and be a terminal.

        The server's answer keys are learnt here: the certificate of an https address (or the
        authority in `ca_file`) is what they are trusted by. Not repeated when the answer is lost:
        a code works once, so then ask for a new one. Further options as for the class.
        """
        key = Ed25519PrivateKey.generate()
        transport = Transport(base_url, timeout_s=timeout_s, ca_file=ca_file)
        wish = {"one_time_code": one_time_code, "public_key": _raw_public(key), "name": name}
        headers = {
            "Content-Type": "application/json",
            "Accept": "application/json",
            "Accept-Language": options.get("language", "zh-hans"),
        }
        try:
            answer = transport.exchange(
                "POST",
                f"{transport.prefix}{API}/terminals/enrol",
                headers,
                json.dumps(wish, ensure_ascii=False).encode(),
            )
        except NotTheServer as error:
            raise AnswerNotTrusted(str(error), idempotency_key=None) from error
        except NoAnswer as error:
            raise OutcomeUnknown(str(error), idempotency_key=None) from error
        finally:
            transport.close()
        body = json_object(answer.content)
        if body is None or answer.status in NOT_NOW:
            raise OutcomeUnknown(f"the server answered {answer.status}", idempotency_key=None)
        if answer.status != 201:
            raise Refused(status=answer.status, body=body)
        return cls(
            base_url=base_url,
            terminal_id=body["terminal_id"],
            key_id=body["key_id"],
            private_key=key,
            merchant=body["merchant"],
            answer_keys=body["answer_keys"],
            ca_file=ca_file,
            timeout_s=timeout_s,
            **options,
        )

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the terminal, private key included, to a file only its owner may read (0600)."""
        state = {
            "base_url": self.base_url,
            "terminal_id": self.terminal_id,
            "key_id": self.key_id,
            "merchant": self.merchant,
            "answer_keys": self.answer_keys,
            "ca_file": self.ca_file,
            "language": self.language,
            "private_key_pem": self._private_key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            ).decode(),
        }
        target = Path(path)
        draft = target.with_name(f".{target.name}.{uuid.uuid4().hex}")
        # Created with its final mode and renamed when complete: at no moment is the key readable
        # by others, and a power cut leaves the old file or the new one.
        handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(state, file, ensure_ascii=False, indent=1)
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, target)

    @classmethod
    def load(cls, path: str | os.PathLike[str], **options: Any) -> Terminal:
        """Read a saved terminal. PermissionError if others may read the file. Options as above."""
        if os.name == "posix" and os.stat(path).st_mode & 0o077:
            raise PermissionError(f"{path} holds a private key and others may read it: chmod 600")
        state = json.loads(Path(path).read_text(encoding="utf-8"))
        key = serialization.load_pem_private_key(state.pop("private_key_pem").encode(), None)
        if not isinstance(key, Ed25519PrivateKey):
            raise ValueError(f"{path} holds a key that is not Ed25519")
        return cls(private_key=key, **{**state, **options})

    def refresh_answer_keys(self) -> None:
        """Fetch the server's answer keys anew; call it once a day, and save afterwards.

        They are trusted as at enrolment, by the certificate of the connection. A key that is no
        longer published is dropped; a known id with another key is AnswerNotTrusted.
        """
        path = f"{self._transport.prefix}/.well-known/answer-keys.json"
        answer, _ = self._exchange.send("GET", path, "", b"", None)
        body = json_object(answer.content)
        if answer.status != 200 or body is None or not body.get("keys"):
            raise OutcomeUnknown(f"the server answered {answer.status}", idempotency_key=None)
        held = {key["key_id"]: key["public_key"] for key in self.answer_keys}
        for key in body["keys"]:
            if held.get(key["key_id"], key["public_key"]) != key["public_key"]:
                raise AnswerNotTrusted(
                    f"the server publishes another key under the known id {key['key_id']}",
                    idempotency_key=None,
                    status=answer.status,
                    content=answer.content,
                )
        self._exchange.answer_keys = AnswerKeys(body["keys"])

    @property
    def answer_keys(self) -> list[Json]:
        """The server's answer keys as it publishes them."""
        return self._exchange.answer_keys.published

    def close(self) -> None:
        """Close the kept connections."""
        self._transport.close()

    # -- scans and visits

    def scan(
        self,
        evidence_value: str,
        use: str,
        evidence_type: str = "voucher_code",
        *,
        idempotency_key: str | None = None,
    ) -> Json:
        """Present a code for a declared use, such as `pharmacy_purchase`: who is covered, for what.

        Never scan a payment code for this: it is refused, but it has left the counter.
        """
        evidence = {"type": evidence_type, "value": evidence_value}
        return self._write("/scans", {"evidence": evidence, "use": use}, idempotency_key)

    def scanned(self, scan_id: str) -> Json:
        """What became of an earlier scan of this merchant."""
        return self._read(f"/scans/{_segment(scan_id)}")

    def open_visit(
        self,
        scan_id: str,
        *,
        kind: str = "outpatient",
        department: str | None = None,
        doctor: str | None = None,
        registration_line: Mapping[str, Any] | None = None,
        idempotency_key: str | None = None,
    ) -> Json:
        """Open a visit by a scan; the registration fee is settled like any other batch."""
        body = {
            "scan_id": scan_id,
            "kind": kind,
            "department": department,
            "doctor": doctor,
            "registration_line": registration_line,
        }
        return self._write("/visits", body, idempotency_key)

    def visit(self, visit_id: str) -> Json:
        """A visit of this merchant with its fees and settlements."""
        return self._read(f"/visits/{_segment(visit_id)}")

    def add_fees(
        self,
        visit_id: str,
        lines: Iterable[Mapping[str, Any]],
        *,
        scan_id: str | None = None,
        doctor: str | None = None,
        department: str | None = None,
        service_date: str | None = None,
        diagnoses: Iterable[Mapping[str, Any]] = (),
        idempotency_key: str | None = None,
    ) -> Json:
        """Upload a fee batch: what was done or given, and the diagnoses it was for."""
        body = {
            "scan_id": scan_id,
            "doctor": doctor,
            "department": department,
            "service_date": service_date,
            "diagnoses": list(diagnoses),
            "lines": list(lines),
        }
        return self._write(f"/visits/{_segment(visit_id)}/fee-batches", body, idempotency_key)

    def prescribe(
        self,
        visit_id: str,
        lines: Iterable[Mapping[str, Any]],
        *,
        prescriber: str,
        diagnosis: str,
        valid_days: int = 3,
        idempotency_key: str | None = None,
    ) -> Json:
        """Write a prescription, whose reference a later bill line may carry."""
        body = {
            "prescriber": prescriber,
            "diagnosis": diagnosis,
            "valid_days": valid_days,
            "lines": list(lines),
        }
        return self._write(f"/visits/{_segment(visit_id)}/prescriptions", body, idempotency_key)

    def pick_up(
        self,
        visit_id: str,
        *,
        scan_id: str,
        settlement_id: str,
        idempotency_key: str | None = None,
    ) -> Json:
        """Hand over settled medicines on a second scan, made for `drug_pickup`."""
        body = {"scan_id": scan_id, "settlement_id": settlement_id}
        return self._write(f"/visits/{_segment(visit_id)}/pickups", body, idempotency_key)

    # -- bills

    def estimate(self, *, idempotency_key: str | None = None, **bill: Any) -> Json:
        """Who would pay which fen of a bill. Reserves nothing.

        A bill is `scan_id`, `benefit_kind`, and `lines` (pharmacy) or `visit_id` (clinic), with
        `disease_code`, `fee_batch_ids`, `account_limit_fen` where they apply.
        """
        return self._write("/estimates", _bill(bill), idempotency_key)

    def quote(self, *, idempotency_key: str | None = None, **bill: Any) -> Json:
        """The same as `estimate`, and reserved for a short time under a `quote_id`."""
        return self._write("/quotes", _bill(bill), idempotency_key)

    def release(self, quote_id: str, *, idempotency_key: str | None = None) -> Json:
        """Give up a quote and what it reserves."""
        return self._write(f"/quotes/{_segment(quote_id)}/release", {}, idempotency_key)

    def pay(
        self, quote_id: str, parts: Iterable[Json], *, idempotency_key: str | None = None
    ) -> Json:
        """Pay parts of a quote's cash part in other money than what is in the till.

        A part is `kind` (cash, bank_card, wechat, alipay, credit), `amount_fen`, and `payment_code`
        or `reference` where the kind needs it. While one is `unknown`, ask `tender`.
        """
        body = {"parts": list(parts)}
        return self._write(f"/quotes/{_segment(quote_id)}/tender", body, idempotency_key)

    def tender(self, quote_id: str) -> Json:
        """How the cash part of a quote is paid, and what is left of it."""
        return self._read(f"/quotes/{_segment(quote_id)}/tender")

    def settle(
        self,
        quote_id: str | None = None,
        *,
        cash_fen: int | None = None,
        idempotency_key: str | None = None,
        **bill: Any,
    ) -> Json:
        """Settle a quote, or a bill without one. Final when it is answered.

        With `cash_fen` the server refuses (`cash_differs`) unless the member owes exactly that.
        """
        if (quote_id is None) == (not bill):
            raise ValueError("settle a quote or a bill, one of the two")
        body = {"quote_id": quote_id, "cash_fen": cash_fen} | _bill(bill)
        return self._write("/settlements", body, idempotency_key)

    def settlement(self, settlement_id: str) -> Json:
        """A settlement of this merchant: its shares, whether it is posted, its refunds."""
        return self._read(f"/settlements/{_segment(settlement_id)}")

    def slip(self, settlement_id: str) -> Json:
        """The one-bill slip (一单制结算单) as data and as lines of text to print. The first asking
        issues it; later ones get the very same, with what happened since under `current`."""
        return self._read(f"/settlements/{_segment(settlement_id)}/slip")

    def refund(
        self, settlement_id: str, reason: str, *, idempotency_key: str | None = None
    ) -> Json:
        """Take a whole settlement back."""
        body = {"settlement_id": settlement_id, "reason": reason}
        return self._write("/refunds", body, idempotency_key)

    def refunded(self, refund_id: str) -> Json:
        """A refund of this merchant."""
        return self._read(f"/refunds/{_segment(refund_id)}")

    def outcome(self, idempotency_key: str) -> Json:
        """What became of the write sent under this key, by any terminal of the merchant.

        Refused with the code `outcome_unknown` when the server never did it, nor will unless it
        is sent again.
        """
        return self._read(f"/outcomes/{_segment(idempotency_key)}")

    # -- the merchant's item list

    def items(self, query: str = "", *, limit: int = 20) -> list[Json]:
        """Search the item list by name, own code, bar code or pinyin initials."""
        found = self._read("/items", urlencode({"query": query, "limit": limit}))
        return list(found["items"])

    def catalogue(self, query: str, *, limit: int = 20) -> list[Json]:
        """Search the area's catalogue of today by name, national code, bar code or initials."""
        found = self._read("/catalogue", urlencode({"query": query, "limit": limit}))
        return list(found["items"])

    def put_items(
        self, items: Iterable[Mapping[str, Any]], *, idempotency_key: str | None = None
    ) -> Json:
        """Save items of the merchant's list, by their own code; answers which are unmapped."""
        return self._write("/items", {"items": list(items)}, idempotency_key)

    # -- the exchange

    def _read(self, path: str, query: str = "") -> Json:
        return self._exchange.call("GET", self._transport.prefix + API + path, query, b"", None)

    def _write(self, path: str, body: Mapping[str, Any], idempotency_key: str | None) -> Json:
        said = {name: value for name, value in body.items() if value is not None}
        return self._exchange.call(
            "POST",
            self._transport.prefix + API + path,
            "",
            json.dumps(said, ensure_ascii=False, separators=(",", ":")).encode(),
            idempotency_key or str(uuid.uuid4()),
        )


def _segment(text: object) -> str:
    return percent_encoded(str(text), safe="")


_BILL = frozenset(
    {
        "scan_id",
        "visit_id",
        "benefit_kind",
        "disease_code",
        "lines",
        "fee_batch_ids",
        "account_limit_fen",
    }
)


def _bill(given: Mapping[str, Any]) -> Json:
    unknown = set(given) - _BILL
    if unknown:
        raise TypeError(f"not part of a bill: {', '.join(sorted(unknown))}")
    return dict(given)
