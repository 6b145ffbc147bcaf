"""Who acts, at which terminal, when: what every service of this app is given."""

from dataclasses import dataclass
from datetime import date, datetime

from merchants.selectors import TerminalFacts
from messaging.days import business_date


@dataclass(frozen=True, slots=True)
class Desk:
    """A terminal with its merchant, the operator's code (empty for software), the moment."""

    terminal: TerminalFacts
    operator: str
    now: datetime
    request_id: str

    @property
    def reader(self) -> str:
        """Who acts here, for a log line: every page of a merchant is one terminal, so its operator
        is named too."""
        by = f", operator {self.operator}" if self.operator else ""
        return f"terminal {self.terminal.terminal_id}{by}"

    @property
    def day(self) -> date:
        """The Beijing day of the moment."""
        return business_date(self.now)
