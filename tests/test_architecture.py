"""The design's import rules and who-may-do-what, held by reading the source.

A failure is a sentence that names the file and the rule, so that whoever breaks one knows which.
"""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
APPS = ("messaging", "voucher", "merchants", "settlement", "portal")

# An app may import these apps besides itself and `config`'s few edges.
MAY_IMPORT = {
    "messaging": set(),
    "voucher": {"messaging"},
    "merchants": {"messaging"},
    "settlement": {"messaging", "voucher", "merchants"},
    "portal": {"messaging", "voucher", "merchants", "settlement"},
}
# Roles inside an app, lowest first; a module imports its own role or a lower one.
LAYERS = {
    "models": 1,
    "selectors": 2,
    "services": 3,
    "sweep": 4,
    "requests": 2,
    "tasks": 4,
    "endpoint": 4,
    "operations": 5,
    "documentation": 6,
    "api": 7,
    "views": 7,
    "admin": 7,
    "management": 7,
    "urls": 8,
}
PURE = [
    "voucher/tokens.py",
    "voucher/handles.py",
    "voucher/suites.py",
    "voucher/identity.py",
    "merchants/signatures.py",
    "settlement/money.py",
    "settlement/sealing.py",
    "settlement/states.py",
    "settlement/certainty.py",
    *sorted(str(p.relative_to(ROOT)) for p in (ROOT / "settlement/benefits").glob("*.py")),
]
PURE_PACKAGES = {
    "voucher.tokens",
    "voucher.handles",
    "voucher.suites",
    "merchants.signatures",
    "settlement.states",
}
# Who reads the clock: the edges. `messaging/ids.py` orders rows by it and judges nothing by it.
CLOCK_EDGES = {"api", "views", "admin", "tasks", "management", "endpoint", "health"}
CLOCK_EXCEPTIONS = {"messaging/ids.py"}
FORBIDDEN_NAMES = {"utils", "common", "helpers", "core", "signals"}


def modules(*folders: str) -> Iterator[tuple[str, ast.Module]]:
    """Path and syntax tree of every module of these folders, migrations left out."""
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*.py")):
            name = str(path.relative_to(ROOT))
            if "/migrations/" not in name:
                yield name, ast.parse(path.read_text(), name)


def imported(tree: ast.Module, name: str) -> Iterator[str]:
    """Dotted names that a module imports, relative ones made absolute."""
    package = name.removesuffix(".py").removesuffix("/__init__").split("/")
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                depth = node.level - (1 if name.endswith("__init__.py") else 0)
                parent = package[: len(package) - depth] if depth else package
                base = ".".join([*parent, base]).rstrip(".")
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)


def layer_of(name: str) -> int | None:
    """The layer of a module's path or dotted name, by the first part that is a role."""
    for part in name.removesuffix(".py").replace("/", ".").split(".")[1:]:
        if part in LAYERS:
            return LAYERS[part]
    return None


@pytest.mark.parametrize("app", APPS)
def test_imports_between_apps_point_one_way(app: str) -> None:
    broken = [
        f"{name} imports {target}: {app} may import only {sorted(MAY_IMPORT[app]) or 'no app'}"
        for name, tree in modules(app)
        for target in imported(tree, name)
        if target.split(".")[0] in APPS
        and target.split(".")[0] != app
        and target.split(".")[0] not in MAY_IMPORT[app]
    ]
    assert not broken, "\n".join(sorted(set(broken)))


@pytest.mark.parametrize("app", APPS)
def test_imports_inside_an_app_point_down(app: str) -> None:
    broken = []
    for name, tree in modules(app):
        own = layer_of(name)
        for target in imported(tree, name):
            if own is None or not target.startswith(f"{app}."):
                continue
            other = layer_of(target)
            if other is not None and other > own:
                broken.append(f"{name} imports {target}: a lower role may not know a higher one")
    assert not broken, "\n".join(sorted(set(broken)))


@pytest.mark.parametrize("name", PURE)
def test_a_pure_module_imports_only_the_standard_library_cryptography_and_pure_modules(
    name: str,
) -> None:
    tree = ast.parse((ROOT / name).read_text())
    for target in imported(tree, name):
        top = target.split(".")[0]
        pure = (
            top in sys.stdlib_module_names
            or top in {"cryptography", "__future__"}
            or target.startswith(("settlement.money", "settlement.benefits"))
            or target in {"settlement", "voucher", "merchants"}
            or any(target == p or target.startswith(f"{p}.") for p in PURE_PACKAGES)
        )
        assert pure, f"{name} imports {target}: a pure module knows no framework and no row"


def test_only_the_edges_read_the_clock() -> None:
    broken = []
    for name, tree in modules(*APPS):
        parts = set(name.removesuffix(".py").split("/"))
        if parts & CLOCK_EDGES or name in CLOCK_EXCEPTIONS:
            continue
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call):
                continue
            called = ast.unparse(node.func)
            if called in {
                "timezone.now",
                "datetime.now",
                "datetime.utcnow",
                "date.today",
                "time.time",
                "time.time_ns",
                "timezone.localdate",
            }:
                broken.append(f"{name}:{node.lineno} reads the clock: pass the moment in")
    assert not broken, "\n".join(broken)


def test_only_settings_reads_the_environment() -> None:
    broken = [
        f"{name}:{node.lineno} reads the environment: that is config/settings.py's alone"
        for name, tree in modules(*APPS, "config")
        if name != "config/settings.py"
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and ast.unparse(node) in {"os.environ", "os.getenv"}
        # Naming the settings module is how Django is started, not a reading of it.
        and "setdefault" not in (ROOT / name).read_text().splitlines()[node.lineno - 1]
    ]
    assert not broken, "\n".join(broken)


def test_only_services_and_the_inbox_open_transactions() -> None:
    broken = [
        f"{name}:{node.lineno} opens a transaction: only services do"
        for name, tree in modules(*APPS)
        if "services" not in name and "management" not in name and not name.startswith("messaging/")
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and ast.unparse(node) == "transaction.atomic"
    ]
    assert not broken, "\n".join(broken)


def test_only_the_table_knows_an_http_status_of_a_refusal() -> None:
    statuses = {400, 401, 403, 404, 409, 410, 413, 422, 501, 503}
    broken = [
        f"{name}:{node.lineno} knows the HTTP status {node.value}: ask config/http.py"
        for name, tree in modules(*APPS)
        if "services" in name or "selectors" in name or name.startswith("messaging/")
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and type(node.value) is int and node.value in statuses
    ]
    assert not broken, "\n".join(broken)


def test_domain_code_enqueues_nothing_but_through_the_outbox() -> None:
    broken = [
        f"{name}:{node.lineno} sends a message: leave a row in the outbox instead"
        for name, tree in modules(*APPS)
        if name != "settlement/operations.py"
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and node.attr in {"delay", "apply_async", "send_task"}
        and "management" not in name
    ]
    assert not broken, "\n".join(broken)


def test_no_module_is_an_attic() -> None:
    broken = [
        f"{name}: a module is named after its subject, not {part}"
        for name, _ in modules(*APPS, "config", "launch", "bench")
        for part in name.removesuffix(".py").split("/")
        if part in FORBIDDEN_NAMES
    ]
    assert not broken, "\n".join(broken)


def test_every_module_says_what_it_knows() -> None:
    silent = [
        f"{name} has no docstring"
        for name, tree in modules(*APPS, "config", "launch")
        if tree.body and not ast.get_docstring(tree) and not name.endswith("__init__.py")
    ]
    assert not silent, "\n".join(silent)


def test_no_default_ordering_hides_in_a_model() -> None:
    broken = [
        f"{name}: Meta.ordering makes every query sort; order where it is asked for"
        for name, tree in modules(*APPS)
        if "models" in name
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign)
        and any(isinstance(t, ast.Name) and t.id == "ordering" for t in node.targets)
    ]
    assert not broken, "\n".join(broken)
