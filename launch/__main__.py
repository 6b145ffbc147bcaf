"""`python -m launch <command>`, inside the environment that `launch.bootstrap` made."""

import os
import sys
from collections.abc import Callable, Mapping

from launch import development, serving
from launch.console import Trouble, say_trouble

COMMANDS: dict[str, Callable[[Mapping[str, str]], int]] = {
    "run": serving.run,
    "demo": serving.demo,
    "test": development.test,
    "bench": development.bench,
    "faults": development.faults,
    "lint": development.lint,
    "lock": development.lock,
}


def main(arguments: list[str]) -> int:
    """Run one command with the process's environment. Answers the exit code."""
    if len(arguments) != 1 or arguments[0] not in COMMANDS:
        say_trouble(f"One of these, please: {', '.join(COMMANDS)}.")
        return 2
    try:
        return COMMANDS[arguments[0]](os.environ)
    except Trouble as trouble:
        say_trouble(str(trouble))
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
