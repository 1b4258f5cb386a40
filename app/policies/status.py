"""The public status page: `status_page` of the policy."""

from actions.incidents.public_status import ShownMaintenance, StatusPage
from app.policies.nodes import Value

LONGEST_TITLE = 200
LONGEST_COMPONENT = 120
MOST_COMPONENTS = 50


def read_status_page(value: Value) -> StatusPage:
    """`{title: Example API, components: [API, Login], maintenance: times}`; what is not said is the default.

    Raises: ConfigError on the line that is wrong.
    """
    members, default = value.members({"title", "components", "maintenance"}), StatusPage()
    title = default.title
    if "title" in members:
        title = _short(members["title"], LONGEST_TITLE)
    components: list[str] = []
    if "components" in members:
        entries = members["components"].each()
        if len(entries) > MOST_COMPONENTS:
            members["components"].fail(f"more than {MOST_COMPONENTS} components")
        for entry in entries:
            name = _short(entry, LONGEST_COMPONENT)
            if name.casefold() in (known.casefold() for known in components):
                entry.fail(f"{name!r} stands here a second time")
            components.append(name)
    return StatusPage(
        title,
        tuple(components),
        members["maintenance"].choice(ShownMaintenance) if "maintenance" in members else default.maintenance,
    )


def _short(value: Value, longest: int) -> str:
    text = value.text()
    if len(text) > longest:
        value.fail(f"has more than {longest} characters")
    return text
