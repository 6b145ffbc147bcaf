"""What the launcher says while people wait: steps, their progress, one clear sentence of trouble.

On a terminal a step is one line that is redrawn; elsewhere (a log, a CI) it is a line at the start
of a long wait and one at its end. Standard library only and readable by any Python 3, because
`bootstrap` speaks through it before the right Python is found.
"""

import sys
import time

# Between two redraws on a terminal, and between two signs of life in a log.
REDRAW_SECONDS = 0.2
SIGN_OF_LIFE_SECONDS = 10.0
# A step shorter than this says only that it is done.
PATIENCE_SECONDS = 2.0


class Trouble(Exception):
    """Something the reader must change; the text is the one sentence they are shown."""


def say(text: str = "") -> None:
    """Print one line at once, even into a pipe."""
    print(text, flush=True)


def say_trouble(text: str) -> None:
    """Print the one sentence of trouble on the error stream."""
    print(text, file=sys.stderr, flush=True)


class Step:
    """One named piece of work, shown while it lasts.

    Use as a context manager and call `progress` as often as convenient. Nothing is said of a step
    that raises: whoever catches the exception says why.
    """

    def __init__(self, title: str) -> None:
        self.title = title
        self._started = self._shown = time.monotonic()
        self._redraws = sys.stdout.isatty()
        self._open_line = False

    def __enter__(self) -> "Step":
        if self._redraws:
            self._draw("")
        return self

    def progress(self, text: str = "") -> None:
        """Show how far the step is; `text` is short, such as "23 of 53 packages"."""
        now = time.monotonic()
        wait = REDRAW_SECONDS if self._redraws else SIGN_OF_LIFE_SECONDS
        first = PATIENCE_SECONDS if self._shown == self._started else wait
        if now - self._shown < (REDRAW_SECONDS if self._redraws else first):
            return
        self._shown = now
        if self._redraws:
            self._draw(text)
        else:
            say(self._line(text))

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if self._open_line:
            sys.stdout.write("\r\033[K")
            sys.stdout.flush()
        if kind is None:
            say(f"  {self.title}: done in {time.monotonic() - self._started:.1f} s")

    def _line(self, text: str) -> str:
        seconds = time.monotonic() - self._started
        return "  {} ...{} {:.0f} s".format(self.title, f" {text}," if text else "", seconds)

    def _draw(self, text: str) -> None:
        sys.stdout.write("\r\033[K" + self._line(text)[:78])
        sys.stdout.flush()
        self._open_line = True
