// pino through pino-http-send's write stream: {"logs":[...]} with five more tries, a second apart.
const pino = require('pino')
const { createWriteStream } = require('pino-http-send')
const { eachRecord } = require('./reading.cjs')

const stream = createWriteStream({
  url: process.env.BARTIZAN_URL + '/v1/events',
  headers: { authorization: 'Bearer ' + process.env.BARTIZAN_TOKEN },
  batchSize: 100,
  timeout: 500,
  retries: 20,
  silent: false
})
const log = pino(stream)

eachRecord((record) => log.info(record.fields, 'request answered'))
