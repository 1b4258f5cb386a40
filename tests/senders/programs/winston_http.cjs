// winston's own Http transport: a request for each record, or batches (argument `batch`).
const winston = require('winston')
const { eachRecord } = require('./reading.cjs')

const url = new URL(process.env.BARTIZAN_URL)
const transport = new winston.transports.Http({
  host: url.hostname,
  port: url.port,
  path: '/v1/events',
  auth: { bearer: process.env.BARTIZAN_TOKEN },
  batch: process.argv[2] === 'batch',
  batchInterval: 500,
  batchCount: 100
})
transport.on('warn', (error) => console.error(String(error)))
const log = winston.createLogger({ format: winston.format.timestamp(), transports: [transport] })

eachRecord((record) => log.info('request answered', record.fields))
