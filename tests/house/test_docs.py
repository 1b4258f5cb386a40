"""What the code has is in the docs, and the other way round."""

import re
from pathlib import Path

from app.bouncers.cscli import router as cscli
from app.bouncers.routes import router as bouncers
from app.bouncers.sensors import router as sensors
from app.ingest.formats.registry import FORMATS
from app.ingest.shippers.registry import ROUTERS as SHIPPERS
from app.main import create_app
from app.settings import Settings
from detectors.defaults import DEFAULTS

ROOT = Path(__file__).resolve().parent.parent.parent
DOCS = "\n".join(p.read_text("utf-8") for p in [*sorted((ROOT / "docs").glob("*.md")), ROOT / "README.md"])


def of(name: str) -> str:
    return (ROOT / "docs" / name).read_text("utf-8")


def test_every_setting_is_documented_and_every_documented_one_exists():
    known = {f"BARTIZAN_{name.upper()}" for name in Settings.model_fields}
    documented = set(re.findall(r"BARTIZAN_[A-Z_]+[A-Z]", of("settings.md")))
    assert known - documented == set()
    assert documented - known == set()


def test_every_rule_is_documented():
    for name in DEFAULTS:
        assert f"\n## {name}\n" in of("rules.md"), name


def test_every_route_is_documented_and_every_documented_one_exists(tmp_path):
    app = create_app(Settings(data_dir=tmp_path, redis_url="redis://127.0.0.1:1"))
    routes = {re.sub(r"\{[^}]+\}", "{}", path) for path in app.openapi()["paths"]}
    text = re.sub(r"\{[a-z_]+\}", "{}", DOCS)
    documented = set(
        re.findall(r"(?<![\w.])/(?:v1|livez|readyz|metrics|api/health|health|status)[\w/{}.-]*", text)
    )
    missing = {route for route in routes if route not in documented}
    assert not missing
    others = (
        *SHIPPERS,
        bouncers,
        sensors,
        cscli,
    )  # other people's protocols are not in the API's description
    routes |= {re.sub(r"\{[^}]+\}", "{}", route.path) for router in others for route in router.routes}
    # A documented path is a route, or the beginning of several (`/v1/admin/...`).
    unknown = {
        d
        for d in documented
        if not any(r == d.rstrip("/.") or r.startswith(d.rstrip("/.") + "/") for r in routes)
    }
    assert not unknown


def test_every_metric_is_documented_and_every_documented_one_exists():
    from app.metrics import Metrics

    rendered = Metrics().render().decode()
    known = {
        re.sub(r"_(total|created|bucket|count|sum)$", "", n)
        for n in re.findall(r"^# TYPE (bartizan_\w+)", rendered, re.M)
    }
    documented = {
        re.sub(r"_(total|bucket|count|sum)$", "", n) for n in re.findall(r"`(bartizan_\w+)", of("metrics.md"))
    }
    assert known == documented


def test_the_table_of_formats_is_that_of_the_code():
    table = of("ingest.md").partition("| format | lines |\n")[2].partition("\n\n")[0].splitlines()[2:]
    assert table == [f"| `{known.name}` | {known.title} |" for known in FORMATS]


def test_links_between_the_docs_lead_somewhere():
    for page in [*(ROOT / "docs").glob("*.md"), ROOT / "README.md"]:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text("utf-8")):
            assert (page.parent / target).exists(), f"{page.name} -> {target}"
