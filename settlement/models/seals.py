"""Tamper evidence for the ledger: who has a seal, in which order, under which signed root.

How digests, roots and signatures are made is `settlement/sealing.py`'s; who makes them is the
sealer's. Seals and batches are append only, like what they seal.
"""

from django.db import models
from django.db.models import F, Q

from .books import LedgerTransaction


class SealKey(models.Model):
    """A key that signs roots. Never deleted: the audit verifies old roots with old keys."""

    number = models.PositiveIntegerField(primary_key=True)
    # Ed25519, 32 bytes; the private half is sealed under the deployment's data key.
    public_key = models.BinaryField()
    private_key_cipher = models.BinaryField()
    made_at = models.DateTimeField()


class SealBatch(models.Model):
    """Seals made in one commit, with the root that chains them to all before."""

    number = models.PositiveBigIntegerField(primary_key=True)
    first_seq = models.PositiveBigIntegerField()
    last_seq = models.PositiveBigIntegerField()
    previous_root = models.BinaryField()
    root = models.BinaryField()
    key = models.ForeignKey(SealKey, on_delete=models.PROTECT, db_index=False)
    signature = models.BinaryField()
    sealed_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(last_seq__gte=F("first_seq")), name="a_seal_batch_seals_something"
            ),
        ]


class Seal(models.Model):
    """One ledger transaction with its postings, sealed. `seq` has no gaps and only ever grows, in
    commits that follow each other: the safe watermark for totals, exports and statements."""

    seq = models.PositiveBigIntegerField(primary_key=True)
    transaction = models.OneToOneField(
        LedgerTransaction, on_delete=models.PROTECT, related_name="seal"
    )
    batch = models.ForeignKey(SealBatch, on_delete=models.PROTECT, db_index=False)
    # Of the transaction and its postings, so that the audit can name the one that was changed.
    digest = models.BinaryField()


class ToSeal(models.Model):
    """A ledger transaction that has no seal yet.

    Written by a trigger of the database with the transaction itself, whoever writes that, and
    deleted by the sealer with the commit that seals it: so the sealer finds what has no seal
    without looking through what has one, and never by "id greater than last seen".
    """

    transaction = models.OneToOneField(
        LedgerTransaction,
        on_delete=models.DO_NOTHING,
        primary_key=True,
        db_constraint=False,
        related_name="to_seal",
    )


class AuditRun(models.Model):
    """What an audit of the ledger found: the report, as `manage.py audit_ledger --json` shows."""

    begun_at = models.DateTimeField()
    ended_at = models.DateTimeField()
    sound = models.BooleanField()
    report = models.JSONField()

    class Meta:
        indexes = [models.Index(fields=["ended_at"], name="audits_by_end")]
