"""Hand-written statements: their errors are Django's, whichever step of theirs fails."""

import pytest
from django.db import OperationalError, connection

from messaging import sql


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_a_connection_that_was_lost_before_the_first_statement_is_djangos_error() -> None:
    """Anything else would pass by those who answer "try again", as an error of the server."""
    connection.close()
    connection.ensure_connection()
    try:
        connection.connection.close()
        with pytest.raises(OperationalError):
            sql.fetch("SELECT 1")
        assert connection.errors_occurred
    finally:
        connection.close()
    assert sql.fetch("SELECT 1") == [(1,)]
