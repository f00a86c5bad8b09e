"""Sends and reads any record with confluent-kafka, for delayd's tests.

    python3 records.py send BROKERS CODEC [commit|abort] < records
    python3 records.py read BROKERS TOPIC COUNT > records

Records are lines of JSON: topic, key, value, and headers with key and value.
Keys and values are null or base64.
"""

import json
import sys
from base64 import b64decode, b64encode

from confluent_kafka import Consumer, KafkaException, Producer


def acknowledged(error, message):
    if error:
        raise KafkaException(error)


def decode(text):
    return None if text is None else b64decode(text)


def encode(data):
    return None if data is None else b64encode(data).decode()


def send(brokers, codec, end=None):
    config = {
        "bootstrap.servers": brokers,
        "compression.type": codec,
        "partitioner": "murmur2_random",
    }
    if end:
        config["transactional.id"] = "python-" + end
    producer = Producer(config)
    if end:
        producer.init_transactions()
        producer.begin_transaction()
    for line in sys.stdin:
        record = json.loads(line)
        producer.produce(
            record["topic"],
            key=decode(record["key"]),
            value=decode(record["value"]),
            headers=[(h["key"], decode(h["value"])) for h in record["headers"]],
            on_delivery=acknowledged,
        )
    producer.flush()
    if end == "commit":
        producer.commit_transaction()
    if end == "abort":
        producer.abort_transaction()


def read(brokers, topic, count):
    consumer = Consumer(
        {
            "bootstrap.servers": brokers,
            "group.id": topic + "-records",
            "auto.offset.reset": "earliest",
        }
    )
    consumer.subscribe([topic])
    left = int(count)
    while left > 0:
        message = consumer.poll(1)
        if message is None:
            continue
        if message.error():
            raise KafkaException(message.error())
        headers = [{"key": k, "value": encode(v)} for k, v in message.headers()]
        record = {
            "topic": message.topic(),
            "key": encode(message.key()),
            "value": encode(message.value()),
            "headers": headers,
        }
        print(json.dumps(record))
        left -= 1
    consumer.close()


{"send": send, "read": read}[sys.argv[1]](*sys.argv[2:])
