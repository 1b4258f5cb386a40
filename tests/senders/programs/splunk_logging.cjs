// splunk-logging: envelopes glued together under a form's content type, with the record in event.message.
const { Logger } = require('splunk-logging')
const { eachRecord } = require('./reading.cjs')

const log = new Logger({
  token: process.env.BARTIZAN_TOKEN,
  url: process.env.BARTIZAN_URL,
  maxRetries: 10,
  batchInterval: 500,
  maxBatchCount: 100
})
log.error = (error) => console.error(String(error))

eachRecord((record) => log.send({ message: record.fields })).then(() => {
  if (log.serializedContextQueue.length > 0) log.flush(() => process.exit(0))
  else process.exit(0)
})
