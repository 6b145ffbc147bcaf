"""Fail points: a process that kills itself before a chosen statement, once, or each time.

Loaded by `tests/faults/settings.py` alone; the product has no hook for it. A plan is a file that a
test lays down: the first process that comes to its place takes the file away, so that the test can
tell that the fault fired, and dies by SIGKILL as if the machine had failed. A plan that says
`again` stays, and every process that comes to its place dies there. A plan may ask for something
else than death: to stand still, to linger, or to run out of memory.
"""
