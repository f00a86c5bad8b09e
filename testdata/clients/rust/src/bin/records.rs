//! Sends and reads any record with rdkafka, for delayd's tests.
//!
//!     records send BROKERS CODEC [commit|abort] < records
//!     records read BROKERS TOPIC COUNT > records
//!
//! Records are lines of JSON: topic, key, value, and headers with key and value.
//! Keys and values are null or base64.
use std::{env, error::Error, io, time::Duration};

use base64::{engine::general_purpose::STANDARD, Engine};
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, Headers, Message, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use serde_json::{json, Value};

const PATIENCE: Duration = Duration::from_secs(60);

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = env::args().collect();
    match args[1].as_str() {
        "send" => send(&args[2], &args[3], args.get(4).map_or("", |end| end)),
        "read" => read(&args[2], &args[3], args[4].parse()?),
        _ => Err("send or read?".into()),
    }
}

fn decode(text: &Value) -> Option<Vec<u8>> {
    text.as_str().map(|t| STANDARD.decode(t).expect("base64"))
}

fn encode(data: Option<&[u8]>) -> Value {
    data.map_or(Value::Null, |d| json!(STANDARD.encode(d)))
}

fn send(brokers: &str, codec: &str, end: &str) -> Result<(), Box<dyn Error>> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers).set("compression.type", codec).set("partitioner", "murmur2_random");
    if !end.is_empty() {
        config.set("transactional.id", format!("rust-{end}"));
    }
    let producer: BaseProducer = config.create()?;
    if !end.is_empty() {
        producer.init_transactions(PATIENCE)?;
        producer.begin_transaction()?;
    }
    for line in io::stdin().lines() {
        let record: Value = serde_json::from_str(&line?)?;
        let (key, value) = (decode(&record["key"]), decode(&record["value"]));
        let mut headers = OwnedHeaders::new();
        for h in record["headers"].as_array().into_iter().flatten() {
            headers = headers.insert(Header { key: h["key"].as_str().unwrap_or_default(), value: decode(&h["value"]).as_ref() });
        }
        let mut r = BaseRecord::<[u8], [u8]>::to(record["topic"].as_str().ok_or("no topic")?).headers(headers);
        r.key = key.as_deref();
        r.payload = value.as_deref();
        while let Err((e, back)) = producer.send(r) {
            if e != KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull) {
                return Err(e.into());
            }
            producer.poll(Duration::from_millis(10));
            r = back;
        }
    }
    producer.flush(PATIENCE)?;
    match end {
        "commit" => producer.commit_transaction(PATIENCE)?,
        "abort" => producer.abort_transaction(PATIENCE)?,
        _ => {}
    }
    Ok(())
}

fn read(brokers: &str, topic: &str, count: usize) -> Result<(), Box<dyn Error>> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("group.id", format!("{topic}-records"))
        .set("auto.offset.reset", "earliest")
        .create()?;
    consumer.subscribe(&[topic])?;
    for message in consumer.iter().take(count) {
        let m = message?;
        let headers: Vec<Value> = m.headers().into_iter().flat_map(|all| all.iter())
            .map(|h| json!({"key": h.key, "value": encode(h.value)})).collect();
        println!("{}", json!({"topic": m.topic(), "key": encode(m.key()), "value": encode(m.payload()), "headers": headers}));
    }
    Ok(())
}
