"""Months declared for clearing, and what the fund says of returns into them."""

import django.db.models.deletion
import messaging.ids
from django.db import migrations, models

from settlement.migrations._guards import lower_guards, raise_guards
from settlement.migrations._moves import guard_moves, unguard_moves

MOVES = {
    "settlement_refundapproval": [
        ("waiting", "approved"),
        ("waiting", "declined"),
        ("waiting", "overtaken"),
        ("approved", "used"),
        ("approved", "overtaken"),
    ],
}


def guard_states(apps, schema_editor):
    """The new entity moves by the table of states."""
    guard_moves(MOVES, schema_editor)


def unguard_states(apps, schema_editor):
    """Take its trigger down."""
    unguard_moves(MOVES, schema_editor)


class Migration(migrations.Migration):

    dependencies = [
        ('merchants', '0002_marks'),
        ('settlement', '0012_restatements'),
    ]

    operations = [
        # Backwards, the guards go up again last, when the new table is gone.
        migrations.RunPython(migrations.RunPython.noop, raise_guards),
        migrations.CreateModel(
            name='DeclaredMonth',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('month', models.DateField()),
                ('declared_at', models.DateTimeField()),
                ('declared_by', models.CharField(max_length=60)),
                ('merchant', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, to='merchants.merchant')),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('merchant', 'month'), name='a_month_is_declared_once_a_merchant'), models.CheckConstraint(condition=models.Q(('month__day', 1)), name='a_declared_month_is_named_by_its_first_day'), models.CheckConstraint(condition=models.Q(('declared_by', ''), _negated=True), name='a_month_is_declared_by_somebody')],
            },
        ),
        migrations.CreateModel(
            name='RefundApproval',
            fields=[
                ('id', models.UUIDField(default=messaging.ids.new_id, primary_key=True, serialize=False)),
                ('parts', models.JSONField()),
                ('parts_hash', models.CharField(max_length=64)),
                ('shares', models.JSONField()),
                ('reason', models.CharField(max_length=200)),
                ('operator', models.CharField(default='', max_length=30)),
                ('asked_at', models.DateTimeField()),
                ('state', models.CharField(choices=[('waiting', 'waiting for the fund'), ('approved', 'approved, not returned yet'), ('declined', 'declined'), ('used', 'approved and returned'), ('overtaken', 'overtaken by another return')], default='waiting', max_length=10)),
                ('decided_by', models.CharField(default='', max_length=150)),
                ('decided_at', models.DateTimeField(null=True)),
                ('note', models.CharField(default='', max_length=200)),
                ('merchant', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, to='merchants.merchant')),
                ('refund', models.OneToOneField(null=True, on_delete=django.db.models.deletion.PROTECT, to='settlement.refund')),
                ('settlement', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, to='settlement.settlement')),
                ('terminal', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, to='merchants.terminal')),
            ],
            options={
                'indexes': [models.Index(condition=models.Q(('state', 'waiting')), fields=['asked_at'], name='approvals_that_wait'), models.Index(fields=['decided_at'], name='approvals_by_decision')],
                'constraints': [models.CheckConstraint(condition=models.Q(('state__in', ('waiting', 'approved', 'declined', 'used', 'overtaken'))), name='an_approval_has_a_known_state'), models.CheckConstraint(condition=models.Q(models.Q(('decided_at__isnull', True), ('state', 'waiting')), ('state', 'overtaken'), models.Q(('decided_at__isnull', False), ('state__in', ['approved', 'declined', 'used'])), _connector='OR'), name='a_decided_approval_has_its_moment'), models.CheckConstraint(condition=models.Q(models.Q(('decided_at__isnull', True), ('decided_by', '')), models.Q(('decided_at__isnull', False), models.Q(('decided_by', ''), _negated=True)), _connector='OR'), name='an_approval_is_decided_by_somebody'), models.CheckConstraint(condition=models.Q(models.Q(('refund__isnull', False), ('state', 'used')), models.Q(models.Q(('state', 'used'), _negated=True), ('refund__isnull', True)), _connector='OR'), name='only_a_used_approval_has_its_refund'), models.UniqueConstraint(condition=models.Q(('state__in', ['waiting', 'approved'])), fields=('settlement', 'parts_hash'), name='one_open_approval_a_settlement_and_parts')],
            },
        ),
        migrations.RunPython(raise_guards, lower_guards),
        migrations.RunPython(guard_states, unguard_states),
    ]
