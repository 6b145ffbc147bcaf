"""Rows that remember what was asked and what must still follow. They know no domain."""

from django.db import models


class InboxEntry(models.Model):
    """A request by its key: what it was, and what was answered.

    Written at the start of the transaction that does the work and completed before its commit, so a
    committed entry always holds its answer. A rival with the same key waits on the unique index.
    """

    actor = models.CharField(max_length=64)
    key = models.CharField(max_length=255)
    # Who else may ask what became of it: the merchant's other terminals.
    circle = models.CharField(max_length=64)
    path = models.CharField(max_length=200)
    content_hash = models.CharField(max_length=64)
    status = models.PositiveSmallIntegerField(null=True)
    code = models.CharField(max_length=64, default="")
    param = models.CharField(max_length=200, default="")
    body = models.TextField(default="")
    request_id = models.CharField(max_length=64, default="")
    received_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["actor", "key"], name="one_entry_an_actor_and_key"),
        ]
        indexes = [models.Index(fields=["circle", "key"], name="inbox_by_circle_and_key")]


class OutboxEntry(models.Model):
    """Something that must follow a commit, written in that very commit; deleted when it is done."""

    topic = models.CharField(max_length=40)
    subject = models.UUIDField()
    created_at = models.DateTimeField()
    attempts = models.PositiveSmallIntegerField(default=0)
    # Not before this moment: a failed entry waits longer after each attempt.
    due_at = models.DateTimeField()
    # Since when a worker has it in hand. A mark that outlives its worker is an attempt.
    begun_at = models.DateTimeField(null=True)
    parked_at = models.DateTimeField(null=True)
    # Class and place of the last error, never its text: that may quote a person's data.
    last_error = models.TextField(default="")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["topic", "subject"], name="one_entry_a_topic_and_subject"
            ),
        ]


class RefusalTally(models.Model):
    """Refusals that no inbox entry or scan remembers, counted by the minute.

    Whoever may send anything at all can make such refusals, so they are counted, not listed: a
    flood makes one row a minute, code, actor and path.
    """

    minute_at = models.DateTimeField()
    code = models.CharField(max_length=64)
    actor = models.CharField(max_length=64)
    path = models.CharField(max_length=200)
    count = models.PositiveBigIntegerField(default=1)
    last_param = models.CharField(max_length=200, default="")
    last_request_id = models.CharField(max_length=64, default="")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["minute_at", "code", "actor", "path"],
                name="one_tally_a_minute_code_actor_and_path",
            ),
        ]


class Heartbeat(models.Model):
    """When each moving part was last seen alive, by name."""

    name = models.CharField(max_length=64, primary_key=True)
    seen_at = models.DateTimeField()
