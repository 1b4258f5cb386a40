"""splunk-handler: envelopes glued together, with the record as text in `event`."""

import json
import logging
import os
import sys
from urllib.parse import urlsplit

from splunk_handler import SplunkHandler

url = urlsplit(os.environ["BARTIZAN_URL"])
handler = SplunkHandler(
    host=url.hostname,
    port=url.port,
    protocol="http",
    verify=False,
    token=os.environ["BARTIZAN_TOKEN"],
    index="main",
    sourcetype="_json",
    flush_interval=0.5,
    retry_count=10,
    retry_backoff=0.5,
)
log = logging.getLogger("app")
log.setLevel(logging.INFO)
log.addHandler(handler)

for line in sys.stdin:
    for record in json.loads(line):
        log.info(json.dumps(record["fields"]))
