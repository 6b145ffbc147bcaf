"""From a stranger's machine to a running system, and from there to its tests.

`bootstrap` makes the virtual environment and needs nothing but some Python; everything else runs
inside that environment through `python -m launch <command>`. The package starts and watches
processes; it imports nothing of the domain and reads no row.
"""
