"""Sends three delayed records with confluent-kafka, and reads them when they are due.

    python3 delay.py kafka:9092 orders
"""

import sys
from datetime import datetime, timedelta, timezone

from confluent_kafka import Consumer, KafkaException, Producer

brokers, target = sys.argv[1:]


def acknowledged(error, message):
    if error:
        raise KafkaException(error)


# murmur2_random places a key where Java's clients do.
producer = Producer(
    {"bootstrap.servers": brokers, "partitioner": "murmur2_random"}
)

# Through the inbox: any delay, which is rounded to a level.
producer.produce(
    "delay.inbox",
    key="order-1",
    value="through the inbox",
    headers=[("delay-level", "10s"), ("delay-target", target)],
    on_delivery=acknowledged,
)

# Straight to a level: one hop less, and the level is the delay.
producer.produce(
    "delay.level.10s",
    key="order-2",
    value="straight to a level",
    headers=[("delay-target", target)],
    on_delivery=acknowledged,
)

# At an exact time, to the millisecond: with its zone, or in Unix time in ms.
until = datetime.now(timezone.utc) + timedelta(seconds=7)
producer.produce(
    "delay.inbox",
    key="order-3",
    value="at an exact time",
    headers=[("delay-until", until.isoformat()), ("delay-target", target)],
    on_delivery=acknowledged,
)

producer.flush()

consumer = Consumer(
    {
        "bootstrap.servers": brokers,
        "group.id": target + "-readers",
        "auto.offset.reset": "earliest",
    }
)
consumer.subscribe([target])
read = 0
while read < 3:
    message = consumer.poll(1)
    if message is None:
        continue
    if message.error():
        raise KafkaException(message.error())
    headers = {key: value.decode() for key, value in message.headers()}
    print(
        message.key().decode(),
        message.value().decode(),
        "delay-due=" + headers["delay-due"],
        "delay-accepted=" + headers["delay-accepted"],
        "delay-granted=" + headers["delay-granted"],
        "delay-requested=" + headers.get("delay-requested", ""),
        sep="\t",
        flush=True,
    )
    read += 1
consumer.close()
