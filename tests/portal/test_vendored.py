"""The vendored browser libraries are the files that were published, and bring their licences."""

import hashlib
from pathlib import Path

VENDOR = Path(__file__).parents[2] / "static" / "vendor"


def listed() -> dict[str, str]:
    rows = (VENDOR / "HASHES").read_text().splitlines()
    return {path: digest for digest, path in (row.split("  ", 1) for row in rows)}


def test_every_vendored_file_is_listed_and_unchanged() -> None:
    found = {
        path.relative_to(VENDOR).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in VENDOR.rglob("*")
        if path.is_file() and path.name != "HASHES"
    }
    assert found == listed()


def test_every_vendored_library_has_its_licence() -> None:
    for library in VENDOR.iterdir():
        if library.is_dir():
            assert list(library.glob("LICENSE*")), library.name


def test_no_page_or_script_of_ours_names_another_host() -> None:
    ours = [
        *(VENDOR.parent / "portal").iterdir(),
        *(VENDOR.parents[1] / "templates").rglob("*.html"),
    ]
    for path in ours:
        text = path.read_text().replace("http://www.w3.org/2000/svg", "")
        assert "http://" not in text, path.name
        assert "https://" not in text, path.name


def test_no_template_has_a_script_or_style_of_its_own() -> None:
    # The content policy would block them: the page would be broken, not unsafe.
    for path in (VENDOR.parents[1] / "templates").rglob("*.html"):
        text = path.read_text()
        assert " style=" not in text, path.name
        assert "<style" not in text, path.name
        for tag in text.split("<script")[1:]:
            assert "src=" in tag.split(">")[0], path.name
