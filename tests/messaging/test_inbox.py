"""The inbox: an answer is committed with what it wrote, a refusal too, trouble leaves nothing."""

from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import OperationalError

from messaging.heartbeats import beat
from messaging.inbox import (
    Answer,
    KeyReused,
    OutcomeUnknown,
    Request,
    answer_once,
    content_hash,
    outcome,
)
from messaging.models import Heartbeat, InboxEntry
from messaging.refusals import Refusal

pytestmark = pytest.mark.django_db(transaction=True)
NOW = datetime(2026, 11, 20, 2, 30, tzinfo=UTC)


class Unwilling(Refusal):
    """Only for these tests; without a code of its own it is no word of the vocabulary."""

    text = "No."


def request(**changes: Any) -> Request:
    return Request(
        **{
            "actor": "terminal:1",
            "circle": "merchant:1",
            "key": "k",
            "path": "settle",
            "body": b"{}",
            "request_id": "r",
            **changes,
        }
    )


def ask(work: Any, **changes: Any) -> Answer:
    return answer_once(
        request(**changes),
        now=NOW,
        work=work,
        refused=lambda refusal: Answer(422, '{"refused":true}', code="no", param="x"),
    )


def accept() -> Answer:
    beat("worked", now=NOW)
    return Answer(201, '{"ok":true}')


def test_work_is_done_once_and_answered_alike() -> None:
    calls: list[int] = []

    def work() -> Answer:
        calls.append(1)
        return accept()

    first, second = ask(work), ask(work)
    assert (first.status, first.body, first.replayed) == (201, '{"ok":true}', False)
    assert (second.status, second.body, second.replayed) == (201, '{"ok":true}', True)
    assert len(calls) == 1


def test_a_refusal_is_committed_with_what_was_written_before_it() -> None:
    def work() -> Answer:
        beat("spent", now=NOW)
        raise Unwilling

    assert ask(work).status == 422
    assert Heartbeat.objects.filter(name="spent").exists()
    entry = InboxEntry.objects.get()
    assert (entry.status, entry.code, entry.param) == (422, "no", "x")
    replay = ask(accept)
    assert (replay.status, replay.code, replay.replayed) == (422, "no", True)


@pytest.mark.parametrize("trouble", [OperationalError("gone"), ValueError("a mistake of ours")])
def test_trouble_rolls_everything_back_and_the_key_is_free_again(trouble: Exception) -> None:
    def work() -> Answer:
        beat("half", now=NOW)
        raise trouble

    with pytest.raises(type(trouble)):
        ask(work)
    assert not InboxEntry.objects.exists()
    assert not Heartbeat.objects.exists()
    assert ask(accept).replayed is False


@pytest.mark.parametrize("change", [{"body": b"{ }"}, {"path": "refund"}])
def test_a_key_belongs_to_its_content(change: dict[str, Any]) -> None:
    ask(accept)
    with pytest.raises(KeyReused):
        ask(accept, **change)


def test_a_key_belongs_to_its_actor() -> None:
    ask(accept)
    assert ask(accept, actor="terminal:2").replayed is False
    assert InboxEntry.objects.count() == 2


def test_path_and_body_cannot_be_shifted_into_each_other() -> None:
    assert content_hash(path="a", body=b"b") != content_hash(path="ab", body=b"")
    assert content_hash(path="a", body=b"") != content_hash(path="", body=b"a")


def test_two_addresses_that_share_their_first_two_hundred_letters_are_two() -> None:
    ask(accept, path="x" * 300)
    with pytest.raises(KeyReused):
        ask(accept, path="x" * 301)


def test_an_outcome_is_the_circles_own_and_first_of_all_the_askers() -> None:
    ask(accept)
    ask(accept, actor="terminal:2", path="refund")

    def told(actor: str, circle: str = "merchant:1", key: str = "k") -> str:
        return outcome(actor=actor, circle=circle, key=key)[0]

    assert [told(f"terminal:{n}") for n in (1, 2, 3)] == ["settle", "refund", "refund"]
    for circle, key in (("merchant:2", "k"), ("merchant:1", "K"), ("merchant:1", "\x00")):
        with pytest.raises(OutcomeUnknown):
            told("terminal:1", circle, key)
