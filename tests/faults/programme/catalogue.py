"""All faults of the programme, in the order in which they strike.

Faults that share a broker follow each other, so that the deployment they share is started once;
those on deployments of their own come last.
"""

from importlib import import_module

GROUPS = (
    "processes",
    "brokers",
    "database",
    "races",
    "security",
    "soak",
    "rabbitmq",
    "network",
    "clocks",
    "machine",
    "mutants",
)


def load() -> None:
    """Have every group declare its faults."""
    for group in GROUPS:
        import_module(f"tests.faults.programme.{group}")
