"""Python's own logging.handlers.HTTPHandler, as the logging cookbook uses it: a form for each record."""

import json
import logging
import os
import sys
from logging.handlers import HTTPHandler
from urllib.parse import urlsplit

url = urlsplit(os.environ["BARTIZAN_URL"])
handler = HTTPHandler(
    url.netloc, "/v1/events", method="POST", credentials=("app", os.environ["BARTIZAN_TOKEN"])
)
log = logging.getLogger("app")
log.setLevel(logging.INFO)
log.addHandler(handler)

for line in sys.stdin:
    for record in json.loads(line):
        log.info("request answered with %s", record["fields"]["status"], extra=record["fields"])
