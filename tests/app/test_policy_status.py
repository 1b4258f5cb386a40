"""The policy's words about the public status page."""

import pytest

from actions.incidents.public_status import ShownMaintenance, StatusPage
from app.policies.explained import explained, lines_of
from app.policies.policy import load_policy
from detectors.errors import ConfigError

RULE = "security_alerts: {auth_failures: {}}\n"


def page(text: str) -> StatusPage:
    return load_policy(RULE + text, "p.yaml").status_page


def test_what_is_not_said_is_a_page_without_components() -> None:
    assert page("") == page("status_page: {}\n") == StatusPage("Status", (), ShownMaintenance.TIMES)


def test_title_components_and_maintenance_are_read() -> None:
    found = page("status_page: {title: Example API, components: [API, Login], maintenance: names}\n")
    assert found == StatusPage("Example API", ("API", "Login"), ShownMaintenance.NAMES)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{titel: x}", "status_page.titel: unknown key; did you mean title?"),
        ("{components: [API, api]}", "status_page.components[1]: 'api' stands here a second time"),
        ("{maintenance: time}", "status_page.maintenance: unknown 'time'; did you mean times?"),
        (f"{{title: {'x' * 201}}}", "status_page.title: has more than 200 characters"),
        (
            f"{{components: [{', '.join(f'c{n}' for n in range(51))}]}}",
            "status_page.components: more than 50 components",
        ),
        ("{components: {a: b}}", "status_page.components: needs one value"),
    ],
)
def test_a_mistake_is_named_with_its_line(text: str, says: str) -> None:
    with pytest.raises(ConfigError) as error:
        page(f"status_page: {text}\n")
    assert str(error.value) == f"p.yaml line 2: {says}"


def test_the_page_is_explained_where_the_policy_speaks_of_it() -> None:
    policy = load_policy(RULE + "status_page: {title: X, components: [API]}\n", "p.yaml")
    assert "status_page: 'X', components API, maintenance: times" in lines_of(explained(policy))
    assert explained(load_policy(RULE, "p.yaml")).status_page == ""
