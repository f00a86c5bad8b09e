import java.time.Duration;
import java.util.List;
import java.util.Properties;

import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

import static java.nio.charset.StandardCharsets.UTF_8;

/**
 * Sends two delayed records with kafka-clients, cancels one of them, replaces the other, and
 * reads what is delivered.
 *
 *     java -cp 'libs/*' Cancel.java kafka:9092 orders
 */
public class Cancel {
    public static void main(String[] args) throws Exception {
        String brokers = args[0], target = args[1];

        Properties config = new Properties();
        config.put("bootstrap.servers", brokers);
        try (var producer = new KafkaProducer<>(config, new StringSerializer(), new StringSerializer())) {
            // begin cancel
            // A record that may be cancelled brings an id of its own.
            producer.send(inbox("order-1", "to be cancelled",
                "delay-level", "10s", "delay-target", target, "delay-id", target + "-1")).get();
            producer.send(inbox("order-2", "to be replaced",
                "delay-level", "10s", "delay-target", target, "delay-id", target + "-2")).get();

            // A cancel has the key and the id, and nothing else.
            producer.send(inbox("order-1", null, "delay-cancel", target + "-1")).get();

            // A replacement is a new record with the id: another value, another time.
            producer.send(inbox("order-2", "replaced",
                "delay-for", "4s", "delay-target", target, "delay-id", target + "-2", "delay-replace", "true")).get();
            // end cancel

            // It is due when the first two would have been delivered.
            producer.send(inbox("order-3", "the last", "delay-for", "12s", "delay-target", target)).get();
        }

        config.put("group.id", target + "-readers");
        config.put("auto.offset.reset", "earliest");
        try (var consumer = new KafkaConsumer<>(config, new StringDeserializer(), new StringDeserializer())) {
            consumer.subscribe(List.of(target));
            for (int read = 0; read < 2; ) {
                for (ConsumerRecord<String, String> r : consumer.poll(Duration.ofSeconds(1))) {
                    System.out.print(r.key() + "\t" + r.value());
                    for (Header h : r.headers()) {
                        System.out.print("\t" + h.key() + "=" + new String(h.value(), UTF_8));
                    }
                    System.out.println();
                    read++;
                }
            }
        }
    }

    /** A record for the inbox, with headers by turns of key and value. */
    static ProducerRecord<String, String> inbox(String key, String value, String... headers) {
        var record = new ProducerRecord<>("delay.inbox", key, value);
        for (int i = 0; i < headers.length; i += 2) {
            record.headers().add(headers[i], headers[i + 1].getBytes(UTF_8));
        }
        return record;
    }
}
