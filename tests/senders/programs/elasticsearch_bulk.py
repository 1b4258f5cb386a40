"""elasticsearch-py's helpers.bulk, with documents in ECS. What it raises on, the program must try again itself."""

import json
import os
import sys
import time

from elasticsearch import ApiError, Elasticsearch, TransportError, helpers

client = Elasticsearch(os.environ["BARTIZAN_URL"], api_key=os.environ["BARTIZAN_TOKEN"])


def actions(records):
    for record in records:
        fields = record["fields"]
        yield {
            "_op_type": "create",
            "_index": "logs-shop",
            "@timestamp": at,
            "source": {"ip": fields["client_ip"]},
            "http": {"request": {"method": fields["method"]}, "response": {"status_code": fields["status"]}},
            "url": {"path": fields["path"]},
            "user_agent": {"original": fields["user_agent"]},
        }


for line in sys.stdin:
    records, at = json.loads(line), time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    while True:
        try:
            count, errors = helpers.bulk(client, actions(records))
        except (ApiError, TransportError) as error:
            sys.stderr.write(f"once more: {error}\n")
            time.sleep(1)
        else:
            assert (count, errors) == (len(records), [])
            break
