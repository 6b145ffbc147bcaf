"""`python -m bench.catalogue [ROWS]`: load a catalogue of that many products, and type against it.

Prints the seconds of loading beside a floor, the same stored rows inserted anew by the database's
own means with nothing checked, and milliseconds of a search by each kind of text. Uses the database
of the settings, in a transaction that is rolled back.
"""

import csv
import io
import os
import random
import statistics
import sys
import time
from datetime import date

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django.setup()

from django.db import connection, transaction  # noqa: E402

from settlement.models import CatalogueItem  # noqa: E402
from settlement.selectors.catalogue import search  # noqa: E402
from settlement.services.catalogue import load_catalogue  # noqa: E402

AREA = "999900"
DAY = date(2026, 6, 1)
_SUBSTANCES = [
    "阿莫西林",
    "头孢克肟",
    "氨氯地平",
    "缬沙坦",
    "厄贝沙坦",
    "二甲双胍",
    "格列美脲",
    "阿托伐他汀",
    "布洛芬",
]
_COLUMNS = (
    "national_code",
    "name",
    "kind",
    "item_class",
    "first_pay",
    "barcode",
    "specification",
    "manufacturer",
    "generic_name",
    "centrally_purchased",
    "from_date",
)
_SYLLABLES = "安康达宁舒平健乐心益清泰瑞福思润元复华信通灵妥欣力培美新"
_FORMS = ["片", "胶囊", "颗粒", "注射液", "缓释片", "分散片", "口服液", "滴眼液", "软膏", "丸"]


def products(count: int, *, seed: int = 1) -> bytes:
    """A CSV of made-up products, some twenty of them to a name as in the national list."""
    chance = random.Random(seed)
    names = [
        chance.choice(_SUBSTANCES)[: chance.randint(2, 5)]
        + "".join(chance.choices(_SYLLABLES, k=chance.randint(1, 4)))
        + chance.choice(_FORMS)
        for _ in range(max(1, count // 20))
    ]
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(_COLUMNS)
    for number in range(count):
        name = chance.choice(names)
        writer.writerow(
            (
                f"X{chance.choice('ABCDGHJLMNPRSV')}{number:020}",
                name,
                "drug",
                chance.choice("ABC"),
                f"{chance.choice((0, 5, 10, 20))}%",
                f"69{number:011}",
                f"{chance.choice((5, 10, 25, 50))}mg*{chance.choice((7, 14, 28))}",
                f"第{number % 900}制药厂",
                name,
                chance.choice(("yes", "no")),
                "2026-01-01",
            )
        )
    return out.getvalue().encode()


def floor_s() -> float:
    """Seconds of inserting the stored rows anew: COPY, or executemany where there is none."""
    table = CatalogueItem._meta.db_table
    columns = ", ".join(f.column for f in CatalogueItem._meta.concrete_fields if f.column != "id")
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {columns} FROM {table} WHERE area_code = %s", [AREA])
        rows = [tuple("999901" if v == AREA else v for v in row) for row in cursor.fetchall()]
        begun = time.perf_counter()
        if connection.vendor == "postgresql":
            with cursor.copy(f"COPY {table} ({columns}) FROM STDIN") as copy:
                for row in rows:
                    copy.write_row(row)
        else:
            marks = ", ".join(["%s"] * (columns.count(",") + 1))
            cursor.executemany(f"INSERT INTO {table} ({columns}) VALUES ({marks})", rows)
        return time.perf_counter() - begun


def searched_ms(texts: list[str]) -> tuple[float, float]:
    """p50 and p99 of one search."""
    took = []
    for text in texts:
        begun = time.perf_counter()
        search(area_code=AREA, text=text, day=DAY)
        took.append((time.perf_counter() - begun) * 1000)
    return statistics.median(took), statistics.quantiles(took, n=100)[-1]


class _Undone(Exception):
    pass


def measure(count: int) -> None:
    """Load, search, compare, and undo all of it."""
    content = products(count)
    chance = random.Random(2)
    begun = time.perf_counter()
    load_catalogue(area_code=AREA, content=content)
    print(f"{connection.vendor}: {count} rows in {time.perf_counter() - begun:.1f} s")
    with connection.cursor() as cursor:
        cursor.execute(f"ANALYZE {CatalogueItem._meta.db_table}")
    items = list(
        CatalogueItem.objects.filter(area_code=AREA).values_list(
            "national_code", "barcode", "initials", "name"
        )[:: max(1, count // 60)]
    )
    kinds = {
        "bar code": [item[1] for item in items],
        "code prefix": [item[0][: chance.randint(2, 20)] for item in items],
        "initials": [item[2][: chance.randint(1, 5)] for item in items],
        "name's beginning": [item[3][: chance.randint(1, 4)] for item in items],
        "name's middle": [item[3][1 : chance.randint(3, 5)] for item in items],
        "one character": [item[3][2] for item in items],
        "in no name": [item[3][1:3] + "氮" for item in items[:20]],
        "no Latin letter matches": [f"qxz{n}" for n in range(20)],
    }
    for kind, texts in kinds.items():
        median, slow = searched_ms(texts)
        print(f"  search by {kind:<24} p50 {median:7.2f} ms   p99 {slow:7.2f} ms")
    print(f"  floor of loading: {floor_s():.1f} s", flush=True)


if __name__ == "__main__":
    try:
        with transaction.atomic():
            measure(int(sys.argv[1]) if len(sys.argv) > 1 else 200_000)
            raise _Undone
    except _Undone:
        pass
