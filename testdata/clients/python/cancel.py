"""Sends two delayed records with confluent-kafka, cancels one of them, replaces
the other, and reads what is delivered.

    python3 cancel.py kafka:9092 orders
"""

import sys

from confluent_kafka import Consumer, KafkaException, Producer

brokers, target = sys.argv[1:]

producer = Producer(
    {"bootstrap.servers": brokers, "partitioner": "murmur2_random"}
)


def acknowledged(error, message):
    if error:
        raise KafkaException(error)


def send(key, value, headers):
    producer.produce(
        "delay.inbox",
        key=key,
        value=value,
        headers=headers,
        on_delivery=acknowledged,
    )
    producer.flush()


# begin cancel
# A record that may be cancelled brings an id of its own.
waits = {"delay-level": "10s", "delay-target": target}
send("order-1", "to be cancelled", {**waits, "delay-id": target + "-1"})
send("order-2", "to be replaced", {**waits, "delay-id": target + "-2"})

# A cancel has the key and the id, and nothing else.
send("order-1", None, {"delay-cancel": target + "-1"})

# A replacement is a new record with the id: another value, another time.
replaces = {"delay-id": target + "-2", "delay-replace": "true"}
replaces |= {"delay-for": "4s", "delay-target": target}
send("order-2", "replaced", replaces)
# end cancel

# It is due when the first two would have been delivered.
send("order-3", "the last", {"delay-for": "12s", "delay-target": target})

consumer = Consumer(
    {
        "bootstrap.servers": brokers,
        "group.id": target + "-readers",
        "auto.offset.reset": "earliest",
    }
)
consumer.subscribe([target])
read = 0
while read < 2:
    message = consumer.poll(1)
    if message is None:
        continue
    if message.error():
        raise KafkaException(message.error())
    headers = [key + "=" + value.decode() for key, value in message.headers()]
    print(
        message.key().decode(), message.value().decode(), *headers, sep="\t"
    )
    read += 1
consumer.close()
