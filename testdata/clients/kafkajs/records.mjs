// Sends and reads any record with kafkajs, for delayd's tests.
//
//     node records.mjs send BROKERS CODEC [commit|abort] < records
//     node records.mjs read BROKERS TOPIC COUNT > records
//
// Records are lines of JSON: topic, key, value, and headers with key and value.
// Keys and values are null or base64.
import { createInterface } from 'node:readline'
import kafkajs from 'kafkajs'
import snappy from 'kafkajs-snappy'

const { CompressionCodecs, CompressionTypes, Kafka, Partitioners, logLevel } = kafkajs
CompressionCodecs[CompressionTypes.Snappy] = snappy

const decode = text => (text === null ? null : Buffer.from(text, 'base64'))
const encode = data => (data == null ? null : data.toString('base64'))
const connected = brokers => new Kafka({ clientId: 'records', brokers: brokers.split(','), logLevel: logLevel.ERROR })

async function send (brokers, codec, end) {
  const producer = connected(brokers).producer({
    createPartitioner: Partitioners.DefaultPartitioner,
    ...(end && { transactionalId: `kafkajs-${end}`, idempotent: true, maxInFlightRequests: 1 })
  })
  await producer.connect()
  const sender = end ? await producer.transaction() : producer
  for await (const line of createInterface({ input: process.stdin })) {
    const { topic, key, value, headers } = JSON.parse(line)
    const byKey = {}
    for (const h of headers) (byKey[h.key] ??= []).push(decode(h.value))
    await sender.send({
      topic,
      compression: CompressionTypes[codec === 'none' ? 'None' : codec.toUpperCase()] ?? CompressionTypes.Snappy,
      messages: [{ key: decode(key), value: decode(value), headers: byKey }]
    })
  }
  if (end === 'commit') await sender.commit()
  if (end === 'abort') await sender.abort()
  await producer.disconnect()
}

async function read (brokers, topic, count) {
  const consumer = connected(brokers).consumer({ groupId: `${topic}-records` })
  await consumer.connect()
  await consumer.subscribe({ topic, fromBeginning: true })
  let left = Number(count)
  await new Promise(resolve => consumer.run({
    eachMessage: async ({ message: { key, value, headers } }) => {
      // What repeats is an array, and stands where its key stood first.
      const pairs = Object.entries(headers).flatMap(([k, v]) => [v].flat().map(one => ({ key: k, value: encode(one) })))
      if (left > 0) console.log(JSON.stringify({ topic, key: encode(key), value: encode(value), headers: pairs }))
      if (--left === 0) resolve()
    }
  }))
  await consumer.disconnect()
}

const [command, ...args] = process.argv.slice(2)
await { send, read }[command](...args)
