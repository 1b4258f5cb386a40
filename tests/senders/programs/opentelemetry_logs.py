"""OpenTelemetry's Python SDK: a batch processor with the OTLP exporter over HTTP, which speaks protobuf."""

import json
import os
import sys
import time

from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.resources import Resource

exporter = OTLPLogExporter(
    endpoint=os.environ["BARTIZAN_URL"] + "/v1/logs",
    headers={"authorization": "Bearer " + os.environ["BARTIZAN_TOKEN"]},
    timeout=60,
)
provider = LoggerProvider(resource=Resource.create({"service.name": "shop"}))
provider.add_log_record_processor(BatchLogRecordProcessor(exporter, schedule_delay_millis=500))
log = provider.get_logger("app")

for line in sys.stdin:
    for record in json.loads(line):
        fields = record["fields"]
        attributes = {
            "client.address": fields["client_ip"],
            "http.request.method": fields["method"],
            "url.path": fields["path"],
            "http.response.status_code": fields["status"],
            "user_agent.original": fields["user_agent"],
        }
        log.emit(
            LogRecord(
                timestamp=time.time_ns(),
                severity_number=SeverityNumber.INFO,
                body="request answered",
                attributes=attributes,
            )
        )
provider.shutdown()
