// OpenTelemetry's JavaScript SDK: a batch processor with the OTLP exporter over HTTP, JSON or protobuf (argument).
const { LoggerProvider, BatchLogRecordProcessor } = require('@opentelemetry/sdk-logs')
const { resourceFromAttributes } = require('@opentelemetry/resources')
const { SeverityNumber } = require('@opentelemetry/api-logs')
const { eachRecord } = require('./reading.cjs')

const { OTLPLogExporter } = process.argv[2] === 'protobuf'
  ? require('@opentelemetry/exporter-logs-otlp-proto')
  : require('@opentelemetry/exporter-logs-otlp-http')
const exporter = new OTLPLogExporter({
  url: process.env.BARTIZAN_URL + '/v1/logs',
  headers: { authorization: 'Bearer ' + process.env.BARTIZAN_TOKEN },
  timeoutMillis: 60000
})
const provider = new LoggerProvider({
  resource: resourceFromAttributes({ 'service.name': 'shop' }),
  processors: [new BatchLogRecordProcessor({ exporter, scheduledDelayMillis: 500, exportTimeoutMillis: 60000 })]
})
const log = provider.getLogger('app')

eachRecord(({ fields }) => log.emit({
  severityNumber: SeverityNumber.INFO,
  body: 'request answered',
  attributes: {
    'client.address': fields.client_ip,
    'http.request.method': fields.method,
    'url.path': fields.path,
    'http.response.status_code': fields.status,
    'user_agent.original': fields.user_agent
  }
})).then(() => provider.shutdown())
