// pino with pino-loki in a worker thread, as its README says.
const pino = require('pino')
const { eachRecord } = require('./reading.cjs')

const transport = pino.transport({
  target: require.resolve('pino-loki'),
  options: {
    host: process.env.BARTIZAN_URL,
    basicAuth: { username: 'app', password: process.env.BARTIZAN_TOKEN },
    labels: { app: 'shop' },
    batching: { interval: 0.5 }
  }
})
const log = pino(transport)

eachRecord((record) => log.info(record.fields, 'request answered')).then(() => transport.end())
