"""Sends and reads any record with kafka-python, for delayd's tests.

    python3 records.py send BROKERS CODEC [commit|abort] < records
    python3 records.py read BROKERS TOPIC COUNT > records

Records are lines of JSON: topic, key, value, and headers with key and value.
Keys and values are null or base64.
"""

import json
import sys
from base64 import b64decode, b64encode

from kafka import KafkaConsumer, KafkaProducer


def decode(text):
    return None if text is None else b64decode(text)


def encode(data):
    return None if data is None else b64encode(data).decode()


def send(brokers, codec, end=None):
    config = {"compression_type": None if codec == "none" else codec}
    if end:
        config["transactional_id"] = "kafka-python-" + end
    producer = KafkaProducer(bootstrap_servers=brokers.split(","), **config)
    if end:
        producer.init_transactions()
        producer.begin_transaction()
    sent = []
    for line in sys.stdin:
        record = json.loads(line)
        sent.append(
            producer.send(
                record["topic"],
                key=decode(record["key"]),
                value=decode(record["value"]),
                headers=[(h["key"], decode(h["value"])) for h in record["headers"]],
            )
        )
    producer.flush()
    for future in sent:
        future.get(timeout=60)
    if end == "commit":
        producer.commit_transaction()
    if end == "abort":
        producer.abort_transaction()
    producer.close()


def read(brokers, topic, count):
    consumer = KafkaConsumer(
        topic,
        bootstrap_servers=brokers.split(","),
        group_id=topic + "-records",
        auto_offset_reset="earliest",
    )
    left = int(count)
    for message in consumer:
        record = {
            "topic": message.topic,
            "key": encode(message.key),
            "value": encode(message.value),
            "headers": [{"key": k, "value": encode(v)} for k, v in message.headers],
        }
        print(json.dumps(record))
        left -= 1
        if left == 0:
            break
    consumer.close()


{"send": send, "read": read}[sys.argv[1]](*sys.argv[2:])
