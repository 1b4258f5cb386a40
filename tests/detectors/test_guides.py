"""Every rule says what it is, how to check it, what to do and when it is wrong."""

import re
from pathlib import Path

import pytest

from detectors.defaults import DEFAULTS
from detectors.guide import Guide
from detectors.guides import guide_of, guides
from detectors.references import link_of
from detectors.rule_table import rule_table

ROOT = Path(__file__).resolve().parent.parent.parent
TEXTS = ("phrase", "what", "needs", "check", "act", "wrong")
PLACEHOLDERS = {"measured", "rest", "subject", "rule", "times", "count", "percent", "total"}


@pytest.mark.parametrize("name", DEFAULTS)
def test_every_rule_has_a_guide_with_every_text(name):
    guide = guides()[name]
    for text in TEXTS:
        said = getattr(guide, text)
        assert said == said.strip() and len(said) > 10, f"{name}.{text}"
        assert "  " not in said and "\n" not in said, f"{name}.{text}"
    for text in TEXTS[1:]:
        assert getattr(guide, text).endswith("."), f"{name}.{text}"


@pytest.mark.parametrize("name", DEFAULTS)
def test_every_rule_has_a_phrase_of_its_own_making(name):
    phrase = guides()[name].phrase
    assert set(re.findall(r"\{(\w*)\}", phrase)) <= PLACEHOLDERS
    assert "{subject}" in phrase
    assert phrase != Guide.__struct_defaults__[0]


@pytest.mark.parametrize("name", DEFAULTS)
def test_every_rule_names_public_standards_in_their_own_spelling(name):
    references = guides()[name].references
    assert references
    assert len(set(references)) == len(references)
    for reference in references:
        assert link_of(reference), f"{name}: {reference}"


def test_no_two_rules_share_a_guide_by_inheritance():
    whats = [guides()[name].what for name in DEFAULTS]
    assert len(set(whats)) == len(whats)


def test_every_guide_belongs_to_a_rule():
    assert set(guides()) == set(DEFAULTS)


@pytest.mark.parametrize(
    ("reference", "page"),
    [
        ("T1110", "https://attack.mitre.org/techniques/T1110/"),
        ("T1110.004", "https://attack.mitre.org/techniques/T1110/004/"),
        ("API2:2023", "https://owasp.org/API-Security/editions/2023/en/0xa2-broken-authentication/"),
        ("API10:2023", "https://owasp.org/API-Security/editions/2023/en/0xaa-unsafe-consumption-of-apis/"),
        ("CWE-307", "https://cwe.mitre.org/data/definitions/307.html"),
    ],
)
def test_an_id_leads_to_its_page(reference, page):
    assert link_of(reference) == page


@pytest.mark.parametrize(
    "text",
    ["", "T110", "T1110.4", "t1110", "API0:2023", "API11:2023", "A11:2021", "CWE-", "ASVS 2.2", "OAT-8"],
)
def test_what_is_no_id_leads_nowhere(text):
    assert link_of(text) is None


def test_a_rule_of_ones_own_is_explained_by_its_title():
    guide = guide_of("export_downloads", "Somebody downloads every export")
    assert guide.what == "Somebody downloads every export"
    assert "export_downloads" in guide_of("export_downloads").what


@pytest.mark.parametrize("name", DEFAULTS)
def test_a_default_rule_carries_its_guides_references(name):
    assert DEFAULTS[name].references == guides()[name].references


def test_the_page_of_rules_is_written_from_the_detectors():
    """`python -m detectors.rule_table > docs/rules.md`"""
    assert (ROOT / "docs" / "rules.md").read_text("utf-8") == rule_table()


def test_every_rule_has_a_section_and_a_row_that_says_what_it_finds():
    page = rule_table()
    for name in DEFAULTS:
        assert f"\n## {name}\n" in page
        [row] = [line for line in page.splitlines() if line.startswith(f"| [`{name}`]")]
        assert len(row.split("|")[2].strip()) > 10, row
