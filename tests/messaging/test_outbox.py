"""The outbox by itself: dead workers counted, poison parked alone, nobody's data in an error."""

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from io import StringIO
from uuid import UUID, uuid4

import pytest
from django.core.management import CommandError, call_command
from django.db import IntegrityError, transaction
from django.utils.translation import override

from messaging import outbox
from messaging.ids import new_id
from messaging.models import Heartbeat, OutboxEntry

START = datetime(2026, 11, 20, 2, 30, tzinfo=UTC)
ATTEMPTS = 3

pytestmark = pytest.mark.django_db


class Died(BaseException):
    """Stands for SIGKILL: nothing catches it, and the transaction under way is gone."""


def filled(number: int) -> list[UUID]:
    subjects = [new_id() for _ in range(number)]
    for subject in subjects:
        outbox.put(topic="wash", subject=subject, now=START)
    return subjects


class Worker:
    """Works the topic, dies of some subjects, and remembers what it was given and what it did."""

    def __init__(self, *, deadly: Sequence[UUID] = ()) -> None:
        self.deadly = set(deadly)
        self.given: list[int] = []
        self.done: list[UUID] = []
        self.deaths = 0

    def handler(self, subjects: Sequence[UUID], now: datetime) -> None:
        self.given.append(len(subjects))
        if self.deadly & set(subjects):
            raise Died
        self.done += subjects

    def look(self, at_s: float) -> int:
        """One look of a worker at that second; it is another process each time."""
        try:
            return outbox.work_batch(
                {"wash": self.handler},
                now=START + timedelta(seconds=at_s),
                limit=50,
                attempts=ATTEMPTS,
            )
        except Died:
            self.deaths += 1
            return 0


def test_a_row_that_kills_its_worker_is_parked_and_those_beside_it_are_done() -> None:
    subjects = filled(6)
    worker = Worker(deadly=subjects[2:3])
    worker.look(0)
    assert set(OutboxEntry.objects.values_list("attempts", flat=True)) == {0}
    # As long as it might still be alive nobody touches its rows.
    worker.look(outbox.ABANDONED_S - 0.1)
    assert worker.given == [6]
    for second in range(5, 600, 3):
        worker.look(second)
    assert sorted(worker.done) == sorted({*subjects} - {subjects[2]})
    # Once together, and then each by itself.
    assert worker.given[0] == 6
    assert set(worker.given[1:]) == {1}
    entry = OutboxEntry.objects.get()
    assert (entry.subject, entry.attempts, entry.last_error) == (subjects[2], 3, outbox.DIED)
    assert entry.parked_at is not None
    assert entry.begun_at is None
    assert worker.deaths == ATTEMPTS


def test_a_batch_is_worked_in_the_order_of_its_handlers_whoever_wrote_first() -> None:
    """So that two topics lock their rows in one order in every batch."""
    given: list[str] = []
    handlers = {
        "wash": lambda subjects, now: given.append(f"wash {len(subjects)}"),
        "dry": lambda subjects, now: given.append(f"dry {len(subjects)}"),
    }
    for topic in ("dry", "wash", "dry"):
        outbox.put(topic=topic, subject=new_id(), now=START)
    assert outbox.work_batch(handlers, now=START, limit=50, attempts=ATTEMPTS) == 3
    assert given == ["wash 1", "dry 2"]


def test_deaths_of_one_row_come_further_and_further_apart() -> None:
    """Three within half a minute, and the supervisor stops everything."""
    worker = Worker(deadly=filled(1))
    died_at, before = [], 0
    for second in range(300):
        worker.look(second)
        if worker.deaths > before:
            died_at.append(second)
            before = worker.deaths
    assert died_at == [0, 5, 40]


def test_a_worker_killed_once_by_something_else_costs_its_rows_one_attempt_and_no_wait() -> None:
    subjects = filled(4)
    worker = Worker(deadly=subjects)
    worker.look(0)
    worker.deadly = set()
    assert worker.look(outbox.ABANDONED_S) == 4
    assert not OutboxEntry.objects.exists()


def test_a_worker_frozen_after_its_mark_takes_nothing_when_it_wakes() -> None:
    filled(2)
    work = outbox._Work({}, START, ATTEMPTS)
    rows, _alone = outbox._take(work, limit=9)
    assert len(rows) == 2
    assert Worker().look(outbox.ABANDONED_S) == 2
    filled(1)
    assert outbox._in_one_commit(rows, work) == 0
    assert OutboxEntry.objects.count() == 1


def test_what_another_has_begun_is_left_to_it() -> None:
    filled(2)
    outbox._take(outbox._Work({}, START, ATTEMPTS), limit=1)
    assert Worker().look(1) == 1
    assert OutboxEntry.objects.get().begun_at == START


def test_an_error_is_described_without_a_word_of_what_was_in_the_row() -> None:
    def raised(error: Exception) -> str:
        try:
            raise error
        except Exception as caught:
            return outbox.described(caught)

    secret = "王建国 370303195201010011"
    assert secret not in raised(ValueError(secret))
    assert raised(ValueError(secret)).startswith("ValueError at tests/messaging/test_outbox.py:")
    assert raised(outbox.Unworkable("no legs")) == "Unworkable: no legs"
    Heartbeat.objects.create(name=secret, seen_at=START)
    with pytest.raises(IntegrityError) as found, transaction.atomic():
        Heartbeat.objects.create(name=secret, seen_at=START)
    told = outbox.described(found.value)
    assert secret not in told
    assert told.startswith("IntegrityError ")
    assert "23505" in told or "SQLITE_CONSTRAINT" in told


# --- The command ------------------------------------------------------------------------------


def command(*arguments: str) -> str:
    out = StringIO()
    with override("en"):
        call_command("outbox", *arguments, stdout=out)
    return out.getvalue()


def parked(number: int) -> list[OutboxEntry]:
    filled(number)
    OutboxEntry.objects.update(parked_at=START, attempts=5, last_error="ValueError at a.py:1 (b)")
    return list(OutboxEntry.objects.order_by("pk"))


def test_the_command_lists_what_is_parked() -> None:
    (row,) = parked(1)
    filled(1)
    told = command("parked")
    for part in (str(row.pk), "wash", str(row.subject), "ValueError at a.py:1 (b)", "parked: 1"):
        assert part in told
    data = json.loads(command("parked", "--json"))
    assert (data["parked"], data["rows"][0]["subject"]) == (1, str(row.subject))


def test_the_command_makes_rows_due_again_however_often() -> None:
    one, two, three = parked(3)
    assert "due again: 2" in command("retry", str(one.pk), str(two.pk))
    assert "due again: 1" in command("retry", str(one.pk))
    assert [row.pk for row in outbox.parked(limit=9)] == [three.pk]
    assert "due again: 1" in command("retry", "--all")
    assert "due again: 0" in command("retry", "--all")
    assert set(OutboxEntry.objects.values_list("attempts", flat=True)) == {0}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["retry"], "give --all"),
        (["retry", "1", "--all"], "not both"),
        (["retry", "123456789"], "never there: 123456789"),
    ],
    ids=["none", "both", "unknown"],
)
def test_the_command_names_what_it_cannot_do(arguments: list[str], said: str) -> None:
    with pytest.raises(CommandError, match=said):
        command(*arguments)


def test_a_row_that_is_being_worked_on_is_not_made_due() -> None:
    filled(1)
    outbox._take(outbox._Work({}, START, ATTEMPTS), limit=9)
    row = OutboxEntry.objects.get()
    assert outbox.retry([row.pk], now=START) == []
    assert outbox.retry([uuid4().int % 1000 + 10**9], now=START) == []


# --- Mutants ----------------------------------------------------------------------------------


def deaths_are_not_counted(patch: pytest.MonkeyPatch) -> None:
    def forget(row: outbox._Row, *, attempts: int, work: outbox._Work) -> bool:
        OutboxEntry.objects.filter(pk=row.id).update(begun_at=None)
        return True

    patch.setattr(outbox, "_count_death", forget)


def suspects_stand_in_batches_again(patch: pytest.MonkeyPatch) -> None:
    real = outbox._count_death

    def clean(row: outbox._Row, *, attempts: int, work: outbox._Work) -> bool:
        real(row, attempts=attempts, work=work)
        OutboxEntry.objects.filter(pk=row.id).update(last_error="", attempts=0)
        return False

    patch.setattr(outbox, "_count_death", clean)


def marks_are_only_in_the_batchs_own_commit(patch: pytest.MonkeyPatch) -> None:
    """What dies takes its mark with it, as a single transaction for claim and work would."""
    real = outbox._take

    def take(work: outbox._Work, *, limit: int) -> tuple[list[outbox._Row], list[outbox._Row]]:
        found = real(work, limit=limit)
        OutboxEntry.objects.update(begun_at=None)
        patch.setattr(outbox, "_hold", lambda rows, now: list(rows))
        return found

    patch.setattr(outbox, "_take", take)


@pytest.mark.parametrize(
    "mutate",
    [
        deaths_are_not_counted,
        suspects_stand_in_batches_again,
        marks_are_only_in_the_batchs_own_commit,
    ],
)
def test_a_mutant_that_forgets_dead_workers_is_caught(
    monkeypatch: pytest.MonkeyPatch, mutate: Callable[[pytest.MonkeyPatch], None]
) -> None:
    mutate(monkeypatch)
    with pytest.raises(AssertionError):
        test_a_row_that_kills_its_worker_is_parked_and_those_beside_it_are_done()
