import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;
import java.util.Properties;
import java.util.concurrent.Future;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

import static java.nio.charset.StandardCharsets.UTF_8;

/**
 * Sends and reads any record with kafka-clients, for delayd's tests.
 *
 *     java -cp 'libs/*' Records.java send BROKERS CODEC [commit|abort] &lt; records
 *     java -cp 'libs/*' Records.java read BROKERS TOPIC COUNT &gt; records
 *
 * Records are lines of JSON: topic, key, value, and headers with key and value.
 * Keys and values are null or base64.
 */
public class Records {
    static final ObjectMapper JSON = new ObjectMapper();

    public static void main(String[] args) throws Exception {
        switch (args[0]) {
            case "send" -> send(args[1], args[2], args.length > 3 ? args[3] : "");
            case "read" -> read(args[1], args[2], Integer.parseInt(args[3]));
            default -> throw new IllegalArgumentException("send or read?");
        }
    }

    static void send(String brokers, String codec, String end) throws Exception {
        Properties config = new Properties();
        config.put("bootstrap.servers", brokers);
        config.put("compression.type", codec);
        if (!end.isEmpty()) config.put("transactional.id", "java-" + end);
        try (var producer = new KafkaProducer<>(config, new ByteArraySerializer(), new ByteArraySerializer());
             var in = new BufferedReader(new InputStreamReader(System.in, UTF_8))) {
            if (!end.isEmpty()) {
                producer.initTransactions();
                producer.beginTransaction();
            }
            List<Future<?>> sent = new ArrayList<>();
            for (String line; (line = in.readLine()) != null; ) {
                JsonNode r = JSON.readTree(line);
                var record = new ProducerRecord<>(r.get("topic").asText(), decode(r.get("key")), decode(r.get("value")));
                for (JsonNode h : r.get("headers")) record.headers().add(h.get("key").asText(), decode(h.get("value")));
                sent.add(producer.send(record));
            }
            producer.flush();
            for (var s : sent) s.get();
            if (end.equals("commit")) producer.commitTransaction();
            if (end.equals("abort")) producer.abortTransaction();
        }
    }

    static void read(String brokers, String topic, int left) throws Exception {
        Properties config = new Properties();
        config.put("bootstrap.servers", brokers);
        config.put("group.id", topic + "-records");
        config.put("auto.offset.reset", "earliest");
        try (var consumer = new KafkaConsumer<>(config, new ByteArrayDeserializer(), new ByteArrayDeserializer())) {
            consumer.subscribe(List.of(topic));
            while (left > 0) {
                for (ConsumerRecord<byte[], byte[]> r : consumer.poll(Duration.ofSeconds(1))) {
                    ObjectNode line = JSON.createObjectNode().put("topic", r.topic()).put("key", encode(r.key())).put("value", encode(r.value()));
                    var headers = line.putArray("headers");
                    for (Header h : r.headers()) headers.addObject().put("key", h.key()).put("value", encode(h.value()));
                    System.out.println(JSON.writeValueAsString(line));
                    left--;
                }
            }
        }
    }

    static byte[] decode(JsonNode text) {
        return text.isNull() ? null : Base64.getDecoder().decode(text.asText());
    }

    static String encode(byte[] data) {
        return data == null ? null : Base64.getEncoder().encodeToString(data);
    }
}
