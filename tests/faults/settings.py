"""The deployment's settings with fail points, and mutants, in every process that loads them."""

import os

from config.settings import *  # noqa: F403
from config.settings import INSTALLED_APPS as _APPS

INSTALLED_APPS = [*_APPS, "tests.faults.failpoints"]
FAULT_PLAN = os.environ["FAULT_PLAN"]
# Two suites on one machine must not take each other's messages from a broker that they share.
CELERY_TASK_DEFAULT_QUEUE = os.environ.get("FAULT_QUEUE", "posting")
FAULT_MUTANT = os.environ.get("FAULT_MUTANT", "")
if FAULT_MUTANT:
    INSTALLED_APPS.append("tests.faults.mutations")
