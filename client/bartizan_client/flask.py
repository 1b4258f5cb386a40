"""For Flask: `Bartizan(app, url=..., token=...)`, or `Bartizan(url=..., token=...).init_app(app)`.

It wraps `app.wsgi_app`, so that nothing of Flask runs for who is refused, and needs no import of Flask.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bartizan_client.sync_client import SyncBlocklistClient
from bartizan_client.wsgi import BartizanWsgi

if TYPE_CHECKING:
    from typing import Unpack

    from bartizan_client.settings import Options

PREFIX = "BARTIZAN_"
"""Of settings in `app.config`: BARTIZAN_URL, BARTIZAN_TOKEN, BARTIZAN_TRUSTED_PROXIES ..."""


class Bartizan:
    """A Flask extension."""

    def __init__(
        self, app: Any = None, *, client: SyncBlocklistClient | None = None, **options: Unpack[Options]
    ) -> None:
        """What the settings mean: docs/client.md. Raises: ValueError naming the setting that is wrong."""
        self._client, self._options = client, options
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Any) -> BartizanWsgi:
        """Guard this application: `app.extensions["bartizan"]` is the middleware then.

        Settings of `app.config` are taken where they were not given. Raises: ValueError, TypeError for a
        setting that is wrong.
        """
        options: Any = {
            name[len(PREFIX) :].lower(): value
            for name, value in app.config.items()
            if name.startswith(PREFIX)
        }
        options.update(self._options)
        guard = BartizanWsgi(app.wsgi_app, client=self._client, **options)
        app.wsgi_app = guard
        app.extensions["bartizan"] = guard
        return guard
