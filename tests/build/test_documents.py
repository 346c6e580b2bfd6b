"""The documents say what is there: keywords, tests, manual pages."""
import os
import re

import pytest

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def read(*path):
    with open(os.path.join(TOP, *path), encoding="utf-8") as file:
        return file.read()


FIELDS = re.findall(r'\.keyword = "([a-z-]+)", (KIND_\w+)',
                    read("privsep", "config.c"))


def test_there_are_keywords():
    assert len(FIELDS) > 25


@pytest.mark.parametrize("keyword,kind", FIELDS)
def test_keyword_is_documented(keyword, kind):
    page = read("etc", "postern.conf.5")
    if kind in ("KIND_MISSING", "KIND_LATER"):
        assert re.search(r"^\.Cm %s[ ,.]*$" % keyword, page, re.M)
    else:
        assert re.search(r"^\.It Cm %s " % keyword, page, re.M)


def test_no_other_keyword_is_documented():
    page = read("etc", "postern.conf.5")
    assert set(re.findall(r"^\.It Cm ([a-z-]+) ", page, re.M)) <= {
        keyword for keyword, _ in FIELDS}


def test_named_tests_exist():
    """Every test that SECURITY.md names."""
    table = read("SECURITY.md")
    classes = re.findall(r"^\| (C\d+) \|", table, re.M)
    assert classes == ["C%d" % n for n in range(1, 28)]
    path = None
    for name in re.findall(r"`(tests/[\w/.]+|test_\w+)`", table):
        if name.startswith("tests/"):
            path = name
            assert os.path.exists(os.path.join(TOP, path)), name
        else:
            assert re.search(r"\b%s\(" % name, read(path)), (path, name)


def test_links_of_documents_exist():
    for name in ("README.md", "SECURITY.md", "CHANGES.md"):
        for target in re.findall(r"\]\(([\w/.]+)\)", read(name)):
            assert os.path.exists(os.path.join(TOP, target)), target


def test_every_requirement_of_pop3_has_a_test():
    """tests/e2e/POP3.md: each row names tests, and each of them exists."""
    count = 0
    for row in re.findall(r"^\|([^|].*)\|$", read("tests", "e2e", "POP3.md"),
                          re.M):
        cells = [cell.strip() for cell in row.split(" | ")]
        if cells[-1] in ("test", "---|---|---") or set(row) <= set("|- "):
            continue
        assert len(cells) == 3 and all(cells), row
        names = re.findall(r"`((?:unit/)?test_\w+\.(?:py|c))::(test_\w+)`",
                           cells[2])
        assert names and re.sub(r"`[^`]*`", "", cells[2]).strip(", ") == "", row
        for path, name in names:
            folder = "tests/" + path if path.startswith("unit/") \
                else "tests/e2e/" + path
            text = read(*folder.split("/"))
            assert re.search(r"^(?:def )?%s\(" % name, text, re.M), (path, name)
        count += 1
    assert count > 90
