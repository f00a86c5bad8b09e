// Fails a record twice and sends it back with @platformatic/kafka.
//
//     node retry.mjs kafka:9092 orders
import { compatibilityPartitioner, Consumer, ProduceAcks, Producer } from '@platformatic/kafka'

const [brokers, target] = process.argv.slice(2)
const cluster = { clientId: 'retry', bootstrapBrokers: brokers.split(',') }
const producer = new Producer({ ...cluster, acks: ProduceAcks.ALL, partitioner: compatibilityPartitioner })
const consumer = new Consumer({ ...cluster, groupId: `${target}-readers`, autocommit: false })
const stream = await consumer.consume({ topics: [target], mode: 'committed', fallbackMode: 'earliest' })
for await (const message of stream) {
  const { key, value, headers } = message
  console.log([key, value, ...[...headers].map(([name, text]) => `${name}=${text}`)].join('\t'))
  if ([...headers].some(([name, text]) => `${name}` === 'delay-attempt' && `${text}` === '2')) break

  // begin retry
  const back = { 'delay-level': 'retry', 'delay-target': target, 'delay-retry-cause': 'the shop is closed' }
  const all = new Map([...headers, ...Object.entries(back).map(pair => pair.map(text => Buffer.from(text)))])
  await producer.send({ messages: [{ topic: 'delay.inbox', key, value, headers: all }] })
  await message.commit()
  // end retry
}
await consumer.close(true)
await producer.close()
