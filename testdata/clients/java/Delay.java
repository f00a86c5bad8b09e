import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Properties;

import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.header.Headers;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

import static java.nio.charset.StandardCharsets.UTF_8;

/**
 * Sends three delayed records with kafka-clients, and reads them when they are due.
 *
 *     java -cp 'libs/*' Delay.java kafka:9092 orders
 */
public class Delay {
    public static void main(String[] args) throws Exception {
        String brokers = args[0], target = args[1];

        Properties config = new Properties();
        config.put("bootstrap.servers", brokers);
        try (var producer = new KafkaProducer<>(config, new StringSerializer(), new StringSerializer())) {
            // Through the inbox: any delay, which is rounded to a level.
            var inbox = new ProducerRecord<>("delay.inbox", "order-1", "through the inbox");
            inbox.headers().add("delay-level", "10s".getBytes(UTF_8)).add("delay-target", target.getBytes(UTF_8));
            var first = producer.send(inbox);

            // Straight to a level: one hop less, and the level is the delay.
            var level = new ProducerRecord<>("delay.level.10s", "order-2", "straight to a level");
            level.headers().add("delay-target", target.getBytes(UTF_8));
            var second = producer.send(level);

            // At an exact time, to the millisecond: in UTC, as an Instant prints it.
            var exact = new ProducerRecord<>("delay.inbox", "order-3", "at an exact time");
            String until = Instant.now().plusSeconds(7).toString();
            exact.headers().add("delay-until", until.getBytes(UTF_8)).add("delay-target", target.getBytes(UTF_8));
            producer.send(exact).get();
            second.get();
            first.get();
        }

        config.put("group.id", target + "-readers");
        config.put("auto.offset.reset", "earliest");
        try (var consumer = new KafkaConsumer<>(config, new StringDeserializer(), new StringDeserializer())) {
            consumer.subscribe(List.of(target));
            for (int read = 0; read < 3; ) {
                for (ConsumerRecord<String, String> r : consumer.poll(Duration.ofSeconds(1))) {
                    System.out.printf("%s\t%s\tdelay-due=%s\tdelay-accepted=%s\tdelay-granted=%s\tdelay-requested=%s%n", r.key(), r.value(),
                        header(r.headers(), "delay-due"), header(r.headers(), "delay-accepted"), header(r.headers(), "delay-granted"),
                        header(r.headers(), "delay-requested"));
                    read++;
                }
            }
        }
    }

    static String header(Headers headers, String key) {
        var header = headers.lastHeader(key); // straight to a level nothing is requested
        return header == null ? "" : new String(header.value(), UTF_8);
    }
}
