"""Progress of a long command: a bar on a terminal, a line now and then in a log."""

import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

# What is shorter shows nothing.
PATIENCE_S = 2.0
# Between two lines where no bar can be drawn.
SIGN_OF_LIFE_S = 10.0


class Shown:
    """A bar on a terminal, a line now and then elsewhere, and nothing while it is short."""

    def __init__(self) -> None:
        self._console = Console(stderr=True)
        self._next = time.monotonic() + PATIENCE_S
        self._bar: Progress | None = None
        self._task: TaskID | None = None

    def __enter__(self) -> "Shown":
        return self

    def __call__(self, title: str, done: int, total: int) -> None:
        now = time.monotonic()
        if self._console.is_terminal:
            if self._bar is None and now >= self._next:
                columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
                self._bar = Progress(*columns, console=self._console, transient=True)
                self._task = self._bar.add_task(title)
                self._bar.start()
            if self._bar is not None and self._task is not None:
                self._bar.update(self._task, description=title, completed=done, total=total)
        elif now >= self._next:
            self._next = now + SIGN_OF_LIFE_S
            self._console.print(f"{title} {done}/{total}", highlight=False)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()
