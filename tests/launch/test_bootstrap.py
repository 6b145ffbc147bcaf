"""Finding a Python and keeping an environment in step with its lock."""

import sys
from pathlib import Path

import pytest

from launch import bootstrap
from launch.console import Trouble

# They answer the probe with major, minor and whether venv is there.
OLD_PYTHON = "#!/bin/sh\necho 3 8 1\n"
WITHOUT_VENV = "#!/bin/sh\necho 3 11 0\n"
BROKEN = "#!/bin/sh\nexit 127\n"


def interpreter(folder: Path, name: str, script: str) -> str:
    path = folder / name
    path.write_text(script)
    path.chmod(0o755)
    return str(path)


@pytest.mark.parametrize("version", [(3, 11), (3, 11, 7), (3, 12, 1), (4, 0)])
def test_a_new_enough_python_will_do(version: tuple[int, ...]) -> None:
    assert bootstrap.refusal_of_version(version) is None


@pytest.mark.parametrize(
    ("version", "named"), [((3, 10, 13), "3.10"), ((3, 6), "3.6"), ((2, 7), "2.7")]
)
def test_an_old_python_is_one_sentence(version: tuple[int, ...], named: str) -> None:
    sentence = bootstrap.refusal_of_version(version)
    assert sentence is not None
    assert sentence.startswith(f"Python 3.11 or newer is needed and this is Python {named}:")
    assert "\n" not in sentence


def test_the_first_python_that_will_do_is_taken(tmp_path: Path) -> None:
    old = interpreter(tmp_path, "old", OLD_PYTHON)
    broken = interpreter(tmp_path, "broken", BROKEN)
    assert bootstrap.find_python([broken, old, sys.executable]) == sys.executable


def test_only_old_pythons_name_the_newest_of_them(tmp_path: Path) -> None:
    old = interpreter(tmp_path, "old", OLD_PYTHON)
    older = interpreter(tmp_path, "older", "#!/bin/sh\necho 3 6 1\n")
    with pytest.raises(Trouble, match=r"this is Python 3\.8:"):
        bootstrap.find_python([older, old])


def test_a_missing_venv_module_names_the_package_to_install(tmp_path: Path) -> None:
    python = interpreter(tmp_path, "python", WITHOUT_VENV)
    old = interpreter(tmp_path, "old", OLD_PYTHON)
    with pytest.raises(Trouble, match=r"apt-get install python3\.11-venv"):
        bootstrap.find_python([old, python])


def test_a_wrong_PYTHON_is_named(tmp_path: Path) -> None:
    with pytest.raises(Trouble, match="is not a Python that runs"):
        bootstrap.find_python([interpreter(tmp_path, "broken", BROKEN)])


def test_no_python_at_all_says_what_to_install() -> None:
    with pytest.raises(Trouble, match=r"No Python was found: install Python 3\.11"):
        bootstrap.find_python(["python-that-is-not-there", "nor-this"])


def test_a_lock_is_installed_once_and_again_after_it_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = tmp_path / bootstrap.RUN_LOCK
    lock.write_text("# nothing to install\n")
    (tmp_path / "venv").mkdir()
    monkeypatch.setattr(bootstrap, "ROOT", str(tmp_path))
    monkeypatch.setattr(bootstrap, "VENV", str(tmp_path / "venv"))
    monkeypatch.setattr(bootstrap, "VENV_PYTHON", sys.executable)
    ran: list[list[str]] = []
    monkeypatch.setattr(bootstrap, "run_shown", lambda command, *_: ran.append(command))
    for expected in (1, 1):
        bootstrap.install(bootstrap.RUN_LOCK)
        assert len(ran) == expected
    lock.write_text("# something else\n")
    bootstrap.install(bootstrap.RUN_LOCK)
    assert len(ran) == 2
    assert "--require-hashes" in ran[0]


def test_the_locks_hold_hashes_and_no_address() -> None:
    for name in (bootstrap.RUN_LOCK, bootstrap.DEVELOPMENT_LOCK):
        text = (Path(bootstrap.ROOT) / name).read_text()
        pins = [line for line in text.splitlines() if "==" in line]
        assert len(pins) > 40
        assert all(line.endswith("\\") for line in pins), "every pin is followed by its hashes"
        assert "://" not in text


def test_the_development_lock_holds_every_pin_of_the_other() -> None:
    def pins(name: str) -> set[str]:
        text = (Path(bootstrap.ROOT) / name).read_text()
        return {line.split()[0] for line in text.splitlines() if "==" in line.split("#")[0]}

    assert pins(bootstrap.RUN_LOCK) <= pins(bootstrap.DEVELOPMENT_LOCK)
