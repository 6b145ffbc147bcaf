"""What an audit looked at and what it found wrong: the first wrong row of each check named."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

# What is being looked at, how many of it, of how many.
Progress = Callable[[str, int, int], None]


@dataclass(slots=True)
class Check:
    """One question to the books, and its answers so far."""

    name: str
    looked_at: int = 0
    wrong: int = 0
    first: str = ""

    def found(self, sentence: str) -> None:
        """Note something wrong; only the first is kept in words, so that a ruined ledger takes no
        more room than a sound one."""
        self.wrong += 1
        self.first = self.first or sentence


# In the order in which they are reported.
CHECKS = (
    "guards",
    "zero_sums",
    "legs",
    "posted_once",
    "balances",
    "seals",
    "chain",
    "seal_file",
    "totals",
    "closed_days",
    "year_to_date",
    "sequences",
)


@dataclass(slots=True)
class Report:
    """All checks of one audit."""

    checks: dict[str, Check] = field(default_factory=lambda: {name: Check(name) for name in CHECKS})

    def __getitem__(self, name: str) -> Check:
        return self.checks[name]

    @property
    def sound(self) -> bool:
        """Whether nothing is wrong anywhere."""
        return not any(check.wrong for check in self.checks.values())

    def described(self) -> dict[str, Any]:
        """For a program: what each check looked at, how much is wrong, the first wrong row."""
        return {
            "sound": self.sound,
            "checks": [
                {
                    "check": check.name,
                    "looked_at": check.looked_at,
                    "wrong": check.wrong,
                    "first": check.first or None,
                }
                for check in self.checks.values()
            ],
        }
