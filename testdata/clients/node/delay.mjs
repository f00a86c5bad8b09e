// Sends two delayed records with @platformatic/kafka, and reads them when they
// are due.
//
//     node delay.mjs kafka:9092 orders
import { compatibilityPartitioner, Consumer, ProduceAcks, Producer, stringDeserializers, stringSerializers } from '@platformatic/kafka'

const [brokers, target] = process.argv.slice(2)
const cluster = { clientId: 'delay', bootstrapBrokers: brokers.split(',') }

// By default it waits for the leader alone, and places keys in its own
// way. compatibilityPartitioner is Java's.
const producer = new Producer({
  ...cluster,
  acks: ProduceAcks.ALL,
  partitioner: compatibilityPartitioner,
  serializers: stringSerializers
})
await producer.send({
  messages: [
    // Through the inbox: any delay, which is rounded to a level.
    {
      topic: 'delay.inbox',
      key: 'order-1',
      value: 'through the inbox',
      headers: { 'delay-level': '10s', 'delay-target': target }
    },
    // Straight to a level: one hop less, and the level is the delay.
    {
      topic: 'delay.level.10s',
      key: 'order-2',
      value: 'straight to a level',
      headers: { 'delay-target': target }
    }
  ]
})
await producer.close()

const consumer = new Consumer({ ...cluster, groupId: `${target}-readers`, deserializers: stringDeserializers })
const stream = await consumer.consume({ topics: [target], mode: 'committed', fallbackMode: 'earliest' })
let read = 0
for await (const { key, value, headers } of stream) {
  const delay = ['delay-due', 'delay-accepted', 'delay-granted'].map(name => `${name}=${headers.get(name)}`)
  console.log([key, value, ...delay].join('\t'))
  if (++read === 2) break
}
await consumer.close(true)
