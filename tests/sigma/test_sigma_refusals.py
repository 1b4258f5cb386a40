"""What cannot be loaded is refused with its reason, alone: the rules beside it load."""

from pathlib import Path

import pytest
from sigma_writing import PLAIN, document, load, refusal, selection

from app.sigma import folder as folder_module
from app.sigma.library import load_sigma
from detectors.errors import ConfigError

GET = selection(**{"cs-method": "GET"})


def with_condition(condition):
    return {"selection": {"cs-method": "GET"}, "_hidden": {"cs-method": "PUT"}, "condition": condition}


ITEMS = {
    "field 'cs-cookie': the events have no such field": {"cs-cookie|contains": "a"},
    "field 'dst_ip': the events have no such field": {"dst_ip|cidr": "203.0.113.0/24"},
    "modifier windash: it is about the command lines of Windows": {"cs-uri|windash|contains": "-x"},
    "modifier wide: its value is UTF-16": {"cs-uri|wide|base64offset|contains": "x"},
    "modifier utf16le: its value is UTF-16": {"cs-uri|utf16le": "x"},
    "modifier expand: its placeholder stands for a list": {"cs-username|expand": "%admins%"},
    "modifier fieldref: Bartizan compares fields with values": {"cs-username|fieldref": "cs-host"},
    "modifier hour: Bartizan does not compare parts of a date": {"timestamp|hour": 3},
    "modifier 'sounds_like' is not one of Sigma's": {"cs-uri|sounds_like": "x"},
    "modifiers re and contains do not go together": {"cs-uri|contains|re": "x"},
    "modifiers contains and endswith do not go together": {"cs-uri|contains|endswith": "x"},
    "modifier contains must stand behind the encoding": {"cs-uri|contains|base64": "x"},
    "modifier 'i' is not one of Sigma's": {"cs-uri|i": "x"},
    "invalid perl operator: (?=": {"cs-uri|re": "a(?=b)"},
    "(it knows neither look-around nor backreferences)": {"cs-uri|re": r"(a)\1"},
    "invalid repetition size": {"cs-uri|re": "a{5000}"},
    "'no address' is not an address": {"c-ip": "no address"},
    "'203.0.113.0/99' is not a network": {"c-ip|cidr": "203.0.113.0/99"},
    "the field is not an address": {"cs-uri|cidr": "203.0.113.0/24"},
    "the field is not a number": {"cs-method|gt": 1},
    "'many' is not a number": {"sc-bytes|gt": "many"},
    "None is not a number": {"sc-bytes": "1*"},
    "the value is not a status": {"sc-status": "fine"},
    "the value is not an outcome": {"outcome": "maybe"},
    "the field is not a text": {"sc-status|re": "4.."},
    "exists is true or false, not 'perhaps'": {"cs-uri|exists": "perhaps"},
    "null has no text to be modified": {"cs-uri|contains": None},
    "a value with wildcards, or an empty one, cannot be encoded": {"cs-uri|base64": "a*"},
    "a list is not a single value": {"cs-uri": [["a"]]},
    "has no value": {"cs-uri": []},
    "a value is longer than 4,096 characters": {"cs-uri": "a" * 5000},
    "more than 10,000 values": {"cs-uri": ["a"] * 10_001},
}


@pytest.mark.parametrize(("reason", "fields"), ITEMS.items(), ids=ITEMS.keys())
def test_an_item_is_refused_because(reason, fields, tmp_path):
    assert reason in refusal(tmp_path, document(selection(**fields)))


DETECTIONS = {
    "what follows | (count, near) is Sigma's old form": with_condition("selection | count() by c-ip > 5"),
    "timeframe is Sigma's old form of counting": {**GET, "timeframe": "5m"},
    "there is no selection 'filter'": with_condition("selection and not filter"),
    "no selection is called 'filter_*'": with_condition("1 of filter_*"),
    "'3' of; Sigma knows 1 of and all of": with_condition("3 of selection*"),
    "nothing stands behind all of": with_condition("all of"),
    "a bracket is not closed": with_condition("(selection"),
    "')' stands where and, or or the end should": with_condition("selection)"),
    "'selection' stands where and, or or the end should": with_condition("selection selection"),
    "'or' stands where a selection should": with_condition("selection and or selection"),
    "'the end' stands where a selection should": with_condition("selection and"),
    "nested deeper than 50": with_condition("(" * 60 + "selection" + ")" * 60),
    "the condition is longer than 4,096 characters": with_condition("selection or " * 400 + "selection"),
    "detection has no condition": {"selection": {"cs-method": "GET"}},
    "detection needs 1 to 500 selections": {"condition": "selection"},
    "selection 'selection' is empty": {"selection": {}, "condition": "selection"},
    "selection 'selection': None is neither fields nor a keyword": {
        "selection": [None],
        "condition": "selection",
    },
    "detection is not a mapping": ["selection"],
}


@pytest.mark.parametrize(("reason", "detection"), DETECTIONS.items(), ids=DETECTIONS.keys())
def test_a_detection_is_refused_because(reason, detection, tmp_path):
    assert reason in refusal(tmp_path, document(detection))


DOCUMENTS = {
    "category process_creation, product windows: Bartizan sees web and authentication events only": document(
        GET, logsource={"category": "process_creation", "product": "windows"}
    ),
    "product linux, service auditd: Bartizan sees": document(
        GET, logsource={"product": "linux", "service": "auditd"}
    ),
    "no category: Bartizan sees": document(GET, logsource={}),
    "it has no logsource": document(GET, logsource=None),
    "service 'sshd' does not write events of the category webserver": document(
        GET, logsource={"category": "webserver", "service": "sshd"}
    ),
    "product 'nginx' does not write events of the category authentication": document(
        GET, logsource={"category": "authentication", "product": "nginx"}
    ),
    "it has no title": document(GET, title=None),
    "level 'extreme' is none of critical, high": document(GET, level="extreme"),
    "taxonomy 'mine': Bartizan knows the names of sigma and ecs": document(GET, taxonomy="mine"),
    "Sigma filters are not taken": {"title": "x", "filter": {"rules": ["y"]}},
    "is no Sigma rule: it has no detection": {"title": "x"},
    "action 'global' is an old form of Sigma": document(GET, action="global"),
    "is not a mapping": "only a text",
}


@pytest.mark.parametrize(("reason", "content"), DOCUMENTS.items(), ids=DOCUMENTS.keys())
def test_a_document_is_refused_because(reason, content, tmp_path):
    assert reason in refusal(tmp_path, content)


def test_a_refusal_names_file_and_rule_and_the_others_load(tmp_path):
    found = load(tmp_path, document(GET), document(GET, title="Wrong", level="extreme"), {"id": "abc"}, 7)
    assert len(found.rules) == 1
    assert [(r.file, r.rule) for r in found.refused] == [
        ("rules.yml", "Wrong"),
        ("rules.yml", "abc"),
        ("rules.yml", "document 4"),
    ]


def test_an_id_that_stands_twice_is_refused_the_second_time(tmp_path):
    found = load(tmp_path, document(GET, id="one"), document(GET, id="one"))
    assert len(found.rules) == 1
    assert [r.reason for r in found.refused] == ["its id one stands in another document too"]


FILES = {
    "not valid YAML: mapping values are not allowed": b"title: a: b",
    "is not UTF-8": b"title: \xff",
    "nested too deeply": b"title: " + b"[" * 100_000 + b"]" * 100_000,
    "larger than 262,144 bytes": b"#" * 300_000,
    "has too many values, or refers to itself": b"a: &a {b: *a}",
    "not valid YAML: could not determine a constructor": b"!!python/object:os.system {}",
    "more than 200 documents": b"---\n{}\n" * 201,
}


@pytest.mark.parametrize(("reason", "raw"), FILES.items(), ids=FILES.keys())
def test_a_file_is_refused_because(reason, raw, tmp_path):
    (tmp_path / "bad.yml").write_bytes(raw)
    (tmp_path / "good.yaml").write_text(
        "title: good\nlogsource: {category: proxy}\ndetection: {s: {cs-method: GET}, condition: s}"
    )
    found = load_sigma(tmp_path, PLAIN)
    assert [rule.name for rule in found.rules] == ["sigma_good"]
    assert reason in found.refused[-1].reason


def test_references_to_references_are_counted_before_they_are_followed(tmp_path):
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 8)}]" for n in range(1, 12)]
    (tmp_path / "laughs.yml").write_text("\n".join(lines))
    (refused,) = load_sigma(tmp_path, PLAIN).refused
    assert refused.reason == "has too many values, or refers to itself"


def test_what_is_no_rule_file_is_left_alone(tmp_path):
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "x.yml").write_text("no: rule")
    (tmp_path / "README.md").write_text("# rules")
    assert load_sigma(tmp_path, PLAIN).refused == ()


def test_a_folder_that_is_not_there_or_holds_too_much_is_an_error(tmp_path, monkeypatch):
    with pytest.raises(ConfigError, match="is not a folder"):
        load_sigma(Path(tmp_path / "missing"), PLAIN)
    for number in range(4):
        (tmp_path / f"{number}.yml").write_text("title: x")
    monkeypatch.setattr(folder_module, "MOST_FILES", 3)
    with pytest.raises(ConfigError, match="more than 3 files"):
        load_sigma(tmp_path, PLAIN)
    monkeypatch.setattr(folder_module, "MOST_FILES", 5)
    monkeypatch.setattr(folder_module, "MOST_BYTES", 20)
    with pytest.raises(ConfigError, match="more than 20 bytes"):
        load_sigma(tmp_path, PLAIN)
