// Sends and reads any record with @platformatic/kafka, for delayd's tests.
//
//     node records.mjs send BROKERS CODEC [commit|abort] < records
//     node records.mjs read BROKERS TOPIC COUNT > records
//
// Records are lines of JSON: topic, key, value, and headers with key and value.
// Keys and values are null or base64.
import { createInterface } from 'node:readline'
import { compatibilityPartitioner, Consumer, ProduceAcks, Producer } from '@platformatic/kafka'

const decode = text => (text === null ? null : Buffer.from(text, 'base64'))
const encode = data => (data == null ? null : data.toString('base64'))

async function send (brokers, codec, end) {
  const producer = new Producer({
    clientId: 'records',
    bootstrapBrokers: brokers.split(','),
    compression: codec,
    acks: ProduceAcks.ALL,
    partitioner: compatibilityPartitioner,
    ...(end && { transactionalId: `node-${end}`, idempotent: true })
  })
  const sender = end ? await producer.beginTransaction() : producer
  for await (const line of createInterface({ input: process.stdin })) {
    const { topic, key, value, headers } = JSON.parse(line)
    // The keys of a Map are told apart by identity, so that a Buffer for each lets
    // a header repeat; keys that are strings cannot.
    const pairs = headers.map(h => [Buffer.from(h.key), decode(h.value)])
    await sender.send({ messages: [{ topic, key: decode(key), value: decode(value), headers: new Map(pairs) }] })
  }
  if (end === 'commit') await sender.commit()
  if (end === 'abort') await sender.abort()
  await producer.close()
}

async function read (brokers, topic, count) {
  const consumer = new Consumer({
    clientId: 'records',
    bootstrapBrokers: brokers.split(','),
    groupId: `${topic}-records`
  })
  const stream = await consumer.consume({ topics: [topic], mode: 'earliest' })
  let left = Number(count)
  for await (const { key, value, headerEntries } of stream) {
    const headers = headerEntries.map(([k, v]) => ({ key: k.toString(), value: encode(v) }))
    console.log(JSON.stringify({ topic, key: encode(key), value: encode(value), headers }))
    if (--left === 0) break
  }
  await consumer.close(true)
}

const [command, ...args] = process.argv.slice(2)
await { send, read }[command](...args)
