"""How another process of a replay begins, before anything of Django may be imported.

It is told which database the first process reads and the name of the snapshot that it exported, and
keeps its own reading open until it ends. What is done there is settlement/services/replaying.py's.
"""

from contextlib import ExitStack
from multiprocessing.util import Finalize

_open = ExitStack()


def begin(database: str, exported: str) -> None:
    """Set Django up and read what the first process reads."""
    import django

    django.setup()

    from django.db import connection

    connection.settings_dict["NAME"] = database
    from messaging.snapshots import snapshot

    _open.enter_context(snapshot(unhurried=True, of=exported))
    # Such a process does not come to the end of its interpreter in good order by itself.
    Finalize(None, _open.close, exitpriority=10)
