"""Counting rows: what a request left behind, and above all what it did not."""

from collections import Counter

from django.apps import apps

# Of the project's own apps; Django's hold nothing a terminal could touch.
OURS = ("messaging", "voucher", "merchants", "settlement")
# The server's own keys come into being when the first answer is signed, whoever asked what.
KEYS = ("AnswerKey", "SealKey")


def counts() -> Counter[str]:
    """How many rows each table of the project has, by model name."""
    return Counter(
        {
            model.__name__: model._default_manager.count()
            for app in OURS
            for model in apps.get_app_config(app).get_models()
            if model.__name__ not in KEYS
        }
    )


def added(before: Counter[str]) -> dict[str, int]:
    """What has come (or, negative, gone) since then, by model name; tables alike are left out."""
    now = counts()
    return {
        name: now[name] - before[name]
        for name in now.keys() | before.keys()
        if now[name] != before[name]
    }
