// Calls `each` with every record of every line on standard input, and resolves where the input ends.
const readline = require('readline')

exports.eachRecord = async (each) => {
  for await (const line of readline.createInterface({ input: process.stdin })) {
    for (const record of JSON.parse(line)) each(record)
  }
}
