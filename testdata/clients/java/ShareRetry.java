import java.time.Duration;
import java.util.List;
import java.util.Properties;

import org.apache.kafka.clients.consumer.AcknowledgeType;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaShareConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

import static java.nio.charset.StandardCharsets.UTF_8;

/**
 * Fails a record twice in a share group of Kafka 4 and sends it back. The group has to have
 * share.auto.offset.reset=earliest, or reads what is written after it began.
 *
 *     java -cp 'libs/*' ShareRetry.java kafka:9092 orders
 */
public class ShareRetry {
    public static void main(String[] args) throws Exception {
        String brokers = args[0], target = args[1];

        Properties config = new Properties();
        config.put("bootstrap.servers", brokers);
        config.put("group.id", target + "-share");
        config.put("share.acknowledgement.mode", "explicit");
        try (var producer = new KafkaProducer<>(config, new ByteArraySerializer(), new ByteArraySerializer());
             var consumer = new KafkaShareConsumer<>(config, new ByteArrayDeserializer(), new ByteArrayDeserializer())) {
            consumer.subscribe(List.of(target));
            for (boolean failing = true; failing; ) {
                for (ConsumerRecord<byte[], byte[]> r : consumer.poll(Duration.ofSeconds(1))) {
                    Retry.print(r);
                    failing = !"2".equals(Retry.header(r, "delay-attempt"));
                    if (failing) {
                        // begin retry
                        var back = new ProducerRecord<>("delay.inbox", null, r.key(), r.value(), r.headers());
                        back.headers().add("delay-level", "retry".getBytes(UTF_8)).add("delay-target", r.topic().getBytes(UTF_8))
                            .add("delay-retry-cause", "the shop is closed".getBytes(UTF_8));
                        producer.send(back).get();
                        // end retry
                    }
                    consumer.acknowledge(r, AcknowledgeType.ACCEPT); // also when it was sent back
                }
                consumer.commitSync();
            }
        }
    }
}
