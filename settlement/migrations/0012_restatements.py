"""Later settlements priced again because an earlier one came back; append only."""

import django.db.models.deletion
import messaging.ids
from django.db import migrations, models

from settlement.migrations._guards import lower_guards, raise_guards


class Migration(migrations.Migration):

    dependencies = [
        ('settlement', '0011_states'),
    ]

    operations = [
        migrations.RunPython(lower_guards, raise_guards),
        migrations.CreateModel(
            name='Restatement',
            fields=[
                ('id', models.UUIDField(default=messaging.ids.new_id, primary_key=True, serialize=False)),
                ('result', models.JSONField()),
                ('refund', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='restatements', to='settlement.refund')),
                ('settlement', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='restatements', to='settlement.settlement')),
            ],
        ),
        migrations.CreateModel(
            name='RestatedShare',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('payer', models.CharField(max_length=30)),
                ('amount_fen', models.BigIntegerField()),
                ('restatement', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='shares', to='settlement.restatement')),
            ],
        ),
        migrations.AddConstraint(
            model_name='restatement',
            constraint=models.UniqueConstraint(fields=('refund', 'settlement'), name='one_restatement_a_refund_and_settlement'),
        ),
        migrations.AddConstraint(
            model_name='restatedshare',
            constraint=models.UniqueConstraint(fields=('restatement', 'payer'), name='one_share_a_restatement_and_payer'),
        ),
        migrations.AddConstraint(
            model_name='restatedshare',
            constraint=models.CheckConstraint(condition=models.Q(('amount_fen', 0), _negated=True), name='a_restated_share_moves_something'),
        ),
        migrations.RunPython(raise_guards, lower_guards),
    ]
