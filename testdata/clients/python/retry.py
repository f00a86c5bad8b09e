"""Fails a record twice and sends it back with confluent-kafka.

    python3 retry.py kafka:9092 orders
"""

import sys

from confluent_kafka import Consumer, KafkaException, Producer

brokers, target = sys.argv[1:]

producer = Producer(
    {"bootstrap.servers": brokers, "partitioner": "murmur2_random"}
)
consumer = Consumer(
    {
        "bootstrap.servers": brokers,
        "group.id": target + "-readers",
        "auto.offset.reset": "earliest",
        "enable.auto.commit": False,
    }
)
consumer.subscribe([target])


def acknowledged(error, message):
    if error:
        raise KafkaException(error)


while True:
    message = consumer.poll(1)
    if message is None:
        continue
    if message.error():
        raise KafkaException(message.error())
    headers = {key: value.decode() for key, value in message.headers() or []}
    print(
        message.key().decode(),
        message.value().decode(),
        *(key + "=" + value for key, value in headers.items()),
        sep="\t",
        flush=True,
    )
    if headers.get("delay-attempt") == "2":
        break

    # begin retry
    back = [
        ("delay-level", "retry"),
        ("delay-target", message.topic()),
        ("delay-retry-cause", "the shop is closed"),
    ]
    producer.produce(
        "delay.inbox",
        key=message.key(),
        value=message.value(),
        headers=(message.headers() or []) + back,
        on_delivery=acknowledged,
    )
    producer.flush()
    consumer.commit(message, asynchronous=False)
    # end retry
consumer.close()
