import java.time.Duration;
import java.util.List;
import java.util.Properties;

import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

import static java.nio.charset.StandardCharsets.UTF_8;

/**
 * Fails a record twice and sends it back with kafka-clients.
 *
 *     java -cp 'libs/*' Retry.java kafka:9092 orders
 */
public class Retry {
    public static void main(String[] args) throws Exception {
        String brokers = args[0], target = args[1];

        Properties config = new Properties();
        config.put("bootstrap.servers", brokers);
        config.put("group.id", target + "-readers");
        config.put("auto.offset.reset", "earliest");
        config.put("enable.auto.commit", "false");
        try (var producer = new KafkaProducer<>(config, new ByteArraySerializer(), new ByteArraySerializer());
             var consumer = new KafkaConsumer<>(config, new ByteArrayDeserializer(), new ByteArrayDeserializer())) {
            consumer.subscribe(List.of(target));
            for (boolean failing = true; failing; ) {
                for (ConsumerRecord<byte[], byte[]> r : consumer.poll(Duration.ofSeconds(1))) {
                    print(r);
                    failing = !"2".equals(header(r, "delay-attempt"));
                    if (failing) {
                        // begin retry
                        var back = new ProducerRecord<>("delay.inbox", null, r.key(), r.value(), r.headers());
                        back.headers().add("delay-level", "retry".getBytes(UTF_8)).add("delay-target", r.topic().getBytes(UTF_8))
                            .add("delay-retry-cause", "the shop is closed".getBytes(UTF_8));
                        producer.send(back).get();
                        // end retry
                    }
                }
                consumer.commitSync();
            }
        }
    }

    static void print(ConsumerRecord<byte[], byte[]> r) {
        System.out.print(new String(r.key(), UTF_8) + "\t" + new String(r.value(), UTF_8));
        for (Header h : r.headers()) {
            System.out.print("\t" + h.key() + "=" + new String(h.value(), UTF_8));
        }
        System.out.println();
    }

    static String header(ConsumerRecord<?, ?> r, String key) {
        Header h = r.headers().lastHeader(key);
        return h == null ? "" : new String(h.value(), UTF_8);
    }
}
