"""A product whose guards can be broken in every process at once, to see that somebody notices.

Loaded by `tests/faults/settings.py` where FAULT_MUTANT names a file; the product has no hook for
it. The mutant in force is the one whose name stands in that file, none while it is empty or
missing, so one deployment can be broken in one way after the other.
"""
