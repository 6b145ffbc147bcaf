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
    from django.core.management import call_command
    from django.db import connection as django_connection
    from django.utils import timezone

    from bench import history, world
    from launch.console import Step

    part, count = arguments[0], int(arguments[1])
    now = timezone.now()
    if part == "area":
        with Step("tables"):
            call_command("migrate", "--no-input", verbosity=0)
    # Building an index of a million rows takes longer than any request may.
    with django_connection.cursor() as cursor:
        cursor.execute("SET statement_timeout = 0")
    settings = django_connection.get_connection_params()
    with psycopg.connect(
        host=settings["host"],
        port=settings["port"],
        user=settings["user"],
        password=settings["password"],
        dbname=settings["dbname"],
        autocommit=True,
    ) as connection:
        # Nobody waits for these rows; the template is complete only when everything is in it.
        connection.execute("SET synchronous_commit = off")
        if part == "area":
            world.build(connection, members=count, now=now)
        else:
            history.load(connection, settlements=count, now=now)
        with Step("vacuum and analyse"):
            connection.execute("VACUUM (FREEZE, ANALYZE)")
            connection.execute("CHECKPOINT")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
