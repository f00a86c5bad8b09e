//! Sends two delayed records with rdkafka, and reads them when they are due.
//!
//!     cargo run --bin delay kafka:9092 orders
use std::{collections::HashMap, env, error::Error, process, time::Duration};

use rdkafka::client::ClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{Header, Headers, Message, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer, ProducerContext};

/// Ends the program when a record is not acknowledged.
struct Acknowledged;

impl ClientContext for Acknowledged {}

impl ProducerContext for Acknowledged {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, _: ()) {
        if let Err((e, _)) = result {
            eprintln!("{e}");
            process::exit(1);
        }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = env::args().collect();
    let (brokers, target) = (&args[1], args[2].as_str());

    let producer: BaseProducer<Acknowledged> = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("partitioner", "murmur2_random") // as Java's
        .create_with_context(Acknowledged)?;
    let to = |key, value| Header { key, value: Some(value) };

    // Through the inbox: any delay, which is rounded to a level.
    let headers = OwnedHeaders::new().insert(to("delay-level", "10s")).insert(to("delay-target", target));
    let inbox = BaseRecord::to("delay.inbox").key("order-1").payload("through the inbox").headers(headers);
    producer.send(inbox).map_err(|(e, _)| e)?;

    // Straight to a level: one hop less, and the level is the delay.
    let headers = OwnedHeaders::new().insert(to("delay-target", target));
    let level = BaseRecord::to("delay.level.10s").key("order-2").payload("straight to a level").headers(headers);
    producer.send(level).map_err(|(e, _)| e)?;
    producer.flush(Duration::from_secs(60))?;

    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("group.id", format!("{target}-readers"))
        .set("auto.offset.reset", "earliest")
        .create()?;
    consumer.subscribe(&[target])?;
    for message in consumer.iter().take(2) {
        let message = message?;
        let mut headers = HashMap::new();
        for h in message.headers().into_iter().flat_map(|all| all.iter()) {
            headers.insert(h.key.to_string(), String::from_utf8_lossy(h.value.unwrap_or_default()).to_string());
        }
        println!(
            "{}\t{}\tdelay-due={}\tdelay-accepted={}\tdelay-granted={}",
            String::from_utf8_lossy(message.key().unwrap_or_default()),
            String::from_utf8_lossy(message.payload().unwrap_or_default()),
            headers["delay-due"], headers["delay-accepted"], headers["delay-granted"],
        );
    }
    Ok(())
}
