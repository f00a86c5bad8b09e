// Sends two delayed records with kafkajs, and reads them when they are due.
//
//     node delay.mjs kafka:9092 orders
import { Kafka, Partitioners } from 'kafkajs'

const [brokers, target] = process.argv.slice(2)
const kafka = new Kafka({ clientId: 'delay', brokers: brokers.split(',') })

// Named, so that kafkajs does not warn of it: its default is Java's partitioner.
const producer = kafka.producer({ createPartitioner: Partitioners.DefaultPartitioner })
await producer.connect()
await producer.sendBatch({
  topicMessages: [
    // Through the inbox: any delay, which is rounded to a level.
    {
      topic: 'delay.inbox',
      messages: [{ key: 'order-1', value: 'through the inbox', headers: { 'delay-level': '10s', 'delay-target': target } }]
    },
    // Straight to a level: one hop less, and the level is the delay.
    {
      topic: 'delay.level.10s',
      messages: [{ key: 'order-2', value: 'straight to a level', headers: { 'delay-target': target } }]
    }
  ]
})
await producer.disconnect()

const consumer = kafka.consumer({ groupId: `${target}-readers` })
await consumer.connect()
await consumer.subscribe({ topic: target, fromBeginning: true })
let read = 0
await new Promise(resolve => consumer.run({
  eachMessage: async ({ message: { key, value, headers } }) => {
    const delay = ['delay-due', 'delay-accepted', 'delay-granted'].map(name => `${name}=${headers[name]}`)
    console.log([key, value, ...delay].join('\t'))
    if (++read === 2) resolve()
  }
}))
await consumer.disconnect()
