"""The fault programme: F01 to F33 against servers and processes of its own.

`python -m tests.faults.programme [--seed N] [--only F01,F12] [--full]` or `make faults`. Every
fault is an object that says what it needs, how often it strikes in the small and in the full run,
and how it strikes; the runner supplies the system, judges the books after it and counts. A fault
that did not strike fails the run, because it proved nothing.
"""
