"""The tables that `make bench` prints: figures, ratios to their floors, costs, goals.

Ratios are taken round by round and shown as `median (least..most)`; absolute figures belong to the
machine they were taken on.
"""

import statistics

from bench.measuring import Figures, spread
from launch.console import say

# The first goals: what is measured, its least or most, and how it is written.
GENERATOR_MOST = 0.15


def show(
    figures: Figures, statements: dict[str, float], *, settlements: int, compared: bool
) -> None:
    """Print everything."""
    rounds = len(figures.rounds["scans"])
    say()
    say(
        f"{rounds} repetitions, 8 terminals on 8 connections, 100,000 members, "
        f"{settlements:,} past settlements."
    )
    say("Each figure is the median (least..most) of the repetitions.")
    others = figures.shown("others", form=".0f", scale=100)
    say(f"Others on this machine took {others} % of its CPU time: above a few, distrust rates.")
    say()
    say("| what | a second | of its floor | the floor, a second |")
    say("|---|---|---|---|")
    for name, key, floor in (
        ("scans", "scans", "bare view"),
        ("scans", "scans", "pgbench scan"),
        ("settlements of 10 lines, worker posting", "settlements", "pgbench settlement"),
        ("quoted, then settled", "quoted and settled", "pgbench settlement"),
        ("settlements posted, queue waiting", "postings", "settlements"),
        ("codes over HTTP", "codes", "bare view"),
    ):
        say(
            f"| {name} | {figures.shown(key)} | {figures.ratio_shown(key, floor)} of {floor}"
            f" | {figures.shown(floor)} |"
        )
    say(f"| codes in one process | {figures.shown('codes in process')} | | |")
    say()
    say("| at 70 % of the rate, arrivals at random | p50 ms | p99 ms |")
    say("|---|---|---|")
    for name in ("scans", "settlements", "codes", "bare view"):
        say(
            f"| {name} | {figures.shown(f'{name}: p50 ms', form='.1f')}"
            f" | {figures.shown(f'{name}: p99 ms', form='.1f')} |"
        )
    say()
    say("| server CPU µs each | web | PostgreSQL | worker | all | SQL statements |")
    say("|---|---|---|---|---|---|")
    for name, counted in (("scans", "scan"), ("settlements", "settlement"), ("codes", "")):
        worker = f"{name}: worker µs"
        say(
            f"| {name} | {figures.shown(f'{name}: web µs')}"
            f" | {figures.shown(f'{name}: postgres µs')}"
            f" | {figures.shown(worker) if worker in figures.rounds else ''}"
            f" | {figures.shown(f'{name}: all µs')}"
            f" | {f'{statements[counted]:.1f}' if counted else ''} |"
        )
    for name in ("pgbench scan", "pgbench settlement"):
        say(f"| {name} | | {figures.shown(f'{name}: postgres µs')} | | | |")
    say(
        f"| settlements posted | | | | {figures.shown('postings: all µs')}"
        f" | {statements['posting']:.1f} |"
    )
    say()
    _goals(figures, settlements=settlements, compared=compared)


def _goals(figures: Figures, *, settlements: int, compared: bool) -> None:
    posting = figures.ratios("postings", "settlements")
    rows = [
        (
            "settlements at least 0.25 of the database floor",
            figures.ratios("settlements", "pgbench settlement"),
            ".2f",
            lambda middle: middle >= 0.25,
        ),
        (
            "scans at least 0.2 of the bare view",
            figures.ratios("scans", "bare view"),
            ".2f",
            lambda middle: middle >= 0.2,
        ),
        (
            "scans p99 under 50 ms",
            figures.rounds["scans: p99 ms"],
            ".1f",
            lambda middle: middle < 50,
        ),
        (
            "settlements p99 under 100 ms",
            figures.rounds["settlements: p99 ms"],
            ".1f",
            lambda middle: middle < 100,
        ),
        ("posting at least as fast as acceptance", posting, ".2f", lambda middle: middle >= 1),
        (
            f"generator at most {GENERATOR_MOST:.0%} of the CPU time",
            [100 * share for share in figures.rounds["generator share"]],
            ".1f",
            lambda middle: middle <= 100 * GENERATOR_MOST,
        ),
    ]
    if compared:
        rows.append(
            (
                f"rate with {settlements:,} settlements at least 0.9 of that with few",
                figures.ratios("settlements", "settlements small"),
                ".2f",
                lambda middle: middle >= 0.9,
            )
        )
    say("| goal | measured | reached |")
    say("|---|---|---|")
    for goal, values, form, reached in rows:
        middle = statistics.median(values)
        say(f"| {goal} | {spread(values, form=form)} | {'yes' if reached(middle) else 'no'} |")
