"""Fills the database that the environment names: `python -m bench.loading area 100000`, then
`python -m bench.loading past 1000000`.

A process of its own, so that `bench.seed` can fill one template after another: Django serves one
database a process.
"""

import os
import sys

import django


def main(arguments: list[str]) -> int:
    """Build the area, or load its past; then analyse. Answers the exit code."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    django.setup()
    import psycopg
    from django.conf import settings
    from django.core.management import call_command
    from django.db import connection as django_connection
    from django.utils import timezone

    from bench import history, world
    from launch.console import Step
    from settlement.services.sealer import seal_all
    from settlement.services.summariser import fold_all

    part, count = arguments[0], int(arguments[1])
    now = timezone.now()
    if part == "area":
        with Step("tables"):
            call_command("migrate", "--no-input", verbosity=0)
    # Building an index of a million rows takes longer than any request may.
    with django_connection.cursor() as cursor:
        cursor.execute("SET statement_timeout = 0")
    server = django_connection.get_connection_params()
    with psycopg.connect(
        host=server["host"],
        port=server["port"],
        user=server["user"],
        password=server["password"],
        dbname=server["dbname"],
        autocommit=True,
    ) as connection:
        # Nobody waits for these rows; the template is complete only when everything is in it.
        connection.execute("SET synchronous_commit = off")
        if part == "area":
            world.build(connection, members=count, now=now)
        else:
            history.load(connection, settlements=count, now=now)
            # In life the past is sealed; left to the worker, it would be sealed while it is timed.
            connection.execute("ANALYZE")
            with Step("seals and totals"):
                seal_all(clock=timezone.now, path=settings.SEAL_FILE)
                fold_all()
        with Step("vacuum and analyse"):
            connection.execute("VACUUM (FREEZE, ANALYZE)")
            connection.execute("CHECKPOINT")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
