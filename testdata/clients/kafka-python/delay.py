"""Sends two delayed records with kafka-python, and reads them when they are due.

    python3 delay.py kafka:9092 orders
"""

import sys

from kafka import KafkaConsumer, KafkaProducer

brokers, target = sys.argv[1:]

producer = KafkaProducer(bootstrap_servers=brokers.split(","))

# Through the inbox: any delay, which is rounded to a level. Headers are text as
# bytes.
inbox = producer.send(
    "delay.inbox",
    key=b"order-1",
    value=b"through the inbox",
    headers=[("delay-level", b"10s"), ("delay-target", target.encode())],
)

# Straight to a level: one hop less, and the level is the delay.
level = producer.send(
    "delay.level.10s",
    key=b"order-2",
    value=b"straight to a level",
    headers=[("delay-target", target.encode())],
)

for sent in inbox, level:
    sent.get(timeout=60)
producer.close()

consumer = KafkaConsumer(
    target,
    bootstrap_servers=brokers.split(","),
    group_id=target + "-readers",
    auto_offset_reset="earliest",
)
read = 0
for message in consumer:
    headers = {key: value.decode() for key, value in message.headers}
    print(
        message.key.decode(),
        message.value.decode(),
        "delay-due=" + headers["delay-due"],
        "delay-accepted=" + headers["delay-accepted"],
        "delay-granted=" + headers["delay-granted"],
        sep="\t",
        flush=True,
    )
    read += 1
    if read == 2:
        break
consumer.close()
