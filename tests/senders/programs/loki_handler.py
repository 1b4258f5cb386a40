"""python-logging-loki: a request for each record, and the record as JSON text in its line."""

import json
import logging
import os
import sys

import logging_loki

handler = logging_loki.LokiHandler(
    url=os.environ["BARTIZAN_URL"] + "/loki/api/v1/push",
    tags={"application": "shop"},
    auth=("app", os.environ["BARTIZAN_TOKEN"]),
    version="1",
)
log = logging.getLogger("app")
log.setLevel(logging.INFO)
log.addHandler(handler)

for line in sys.stdin:
    for record in json.loads(line):
        log.info(json.dumps(record["fields"]), extra={"tags": {"service": "api"}})
