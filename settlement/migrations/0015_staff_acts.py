"""What the fund's staff do with payments, kept with who did it; indexes of what they look at."""

import django.db.models.deletion
import messaging.ids
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('merchants', '0002_marks'),
        ('settlement', '0014_certainty'),
        ('voucher', '0002_sharings'),
    ]

    operations = [
        migrations.CreateModel(
            name='StaffAct',
            fields=[
                ('id', models.UUIDField(default=messaging.ids.new_id, primary_key=True, serialize=False)),
                ('kind', models.CharField(choices=[('debt_paid', 'debt paid'), ('rule', 'rule of an institution'), ('limit', 'limit of a line of credit'), ('repayment', 'repayment')], max_length=10)),
                ('actor', models.CharField(max_length=150)),
                ('key', models.CharField(max_length=64)),
                ('amount_fen', models.BigIntegerField(null=True)),
                ('capture_failed', models.CharField(blank=True, choices=[('debt', 'the settlement stands and the payment service owes it'), ('reverse', 'the settlement is returned')], default='', max_length=10)),
                ('done_at', models.DateTimeField()),
            ],
        ),
        migrations.AddIndex(
            model_name='tender',
            index=models.Index(condition=models.Q(('state__in', ['asked', 'unknown', 'capturing', 'returning', 'debt'])), fields=['state', 'changed_at'], name='tenders_that_are_open'),
        ),
        migrations.AddField(
            model_name='staffact',
            name='member',
            field=models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, to='voucher.member'),
        ),
        migrations.AddField(
            model_name='staffact',
            name='merchant',
            field=models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, to='merchants.merchant'),
        ),
        migrations.AddField(
            model_name='staffact',
            name='tender',
            field=models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, to='settlement.tender'),
        ),
        migrations.AddIndex(
            model_name='staffact',
            index=models.Index(fields=['-done_at'], name='staff_acts_by_moment'),
        ),
        migrations.AddIndex(
            model_name='staffact',
            index=models.Index(condition=models.Q(('member__isnull', False)), fields=['member', '-done_at'], name='staff_acts_by_member'),
        ),
        migrations.AddConstraint(
            model_name='staffact',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('amount_fen__isnull', False), ('kind', 'debt_paid'), ('tender__isnull', False)), models.Q(('capture_failed__in', ['debt', 'reverse']), ('kind', 'rule'), ('merchant__isnull', False)), models.Q(('amount_fen__isnull', False), ('kind__in', ['limit', 'repayment']), ('member__isnull', False)), _connector='OR'), name='a_staff_act_names_what_it_is_about'),
        ),
        migrations.AddConstraint(
            model_name='staffact',
            constraint=models.CheckConstraint(condition=models.Q(('actor', ''), _negated=True), name='a_staff_act_names_its_actor'),
        ),
        migrations.AddConstraint(
            model_name='staffact',
            constraint=models.UniqueConstraint(fields=('actor', 'key'), name='one_staff_act_an_actor_and_key'),
        ),
        migrations.AddConstraint(
            model_name='staffact',
            constraint=models.UniqueConstraint(condition=models.Q(('kind', 'debt_paid')), fields=('tender',), name='a_debt_is_paid_once'),
        ),
    ]
