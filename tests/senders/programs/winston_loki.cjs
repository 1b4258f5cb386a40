// winston-loki: snappy protobuf, or JSON (argument). A failed batch is kept; the next try is a minute later, or at close.
const winston = require('winston')
const LokiTransport = require('winston-loki')
const { eachRecord } = require('./reading.cjs')

const transport = new LokiTransport({
  host: process.env.BARTIZAN_URL,
  basicAuth: 'app:' + process.env.BARTIZAN_TOKEN,
  json: process.argv[2] === 'json',
  labels: { app: 'shop' },
  format: winston.format.json(),
  interval: 0.5,
  gracefulShutdown: false,
  onConnectionError: (error) => console.error(String(error))
})
const log = winston.createLogger({ transports: [transport] })

eachRecord((record) => log.info('request answered', record.fields))
  .then(() => transport.close())
  .then(() => process.exit(0))
