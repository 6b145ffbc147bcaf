"""What the certainty clock reads of tenders: since when a payment is known, and two short indexes of
what is not final yet. Scans, quotes and settlements need none: see the selector."""

from django.db import migrations, models


class Migration(migrations.Migration):
    """The column is null for payments before it."""

    dependencies = [("settlement", "0013_declared_months")]

    operations = [
        migrations.AddField(
            model_name="tender", name="known_at", field=models.DateTimeField(null=True)
        ),
        migrations.AddIndex(
            model_name="tender",
            index=models.Index(
                condition=models.Q(
                    state__in=[
                        "received", "asked", "authorised", "unknown", "capturing", "returning",
                    ]
                ),
                fields=["certain_by"],
                name="tenders_not_final",
            ),
        ),
        migrations.AddIndex(
            model_name="tenderrefund",
            index=models.Index(
                condition=models.Q(returned_at__isnull=True),
                fields=["created_at"],
                name="tender_refunds_not_returned",
            ),
        ),
    ]  # fmt: skip
