package delay; // Spring Boot looks for its own configuration in all packages below this one

import java.util.concurrent.CountDownLatch;

import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.springframework.beans.factory.annotation.Value;
import org.springframework.boot.CommandLineRunner;
import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.context.ConfigurableApplicationContext;
import org.springframework.context.annotation.Bean;
import org.springframework.kafka.annotation.KafkaListener;
import org.springframework.kafka.core.KafkaTemplate;

import static java.nio.charset.StandardCharsets.UTF_8;

/**
 * Sends two delayed records with Spring Kafka, and reads them when they are due.
 *
 *     java delay.Delay --spring.kafka.bootstrap-servers=kafka:9092 --target=orders
 */
@SpringBootApplication
public class Delay {
    final CountDownLatch left = new CountDownLatch(2);

    @Bean
    CommandLineRunner send(KafkaTemplate<String, String> kafka, @Value("${target}") String target) {
        return args -> {
            // Through the inbox: any delay, which is rounded to a level. The value of a
            // header is text: a number or an object would be written as JSON.
            var inbox = new ProducerRecord<>("delay.inbox", "order-1", "through the inbox");
            inbox.headers().add("delay-level", "10s".getBytes(UTF_8)).add("delay-target", target.getBytes(UTF_8));
            kafka.send(inbox).get();

            // Straight to a level: one hop less, and the level is the delay.
            var level = new ProducerRecord<>("delay.level.10s", "order-2", "straight to a level");
            level.headers().add("delay-target", target.getBytes(UTF_8));
            kafka.send(level).get();
        };
    }

    @KafkaListener(topics = "${target}", groupId = "${target}-readers", properties = "auto.offset.reset=earliest")
    void read(ConsumerRecord<String, String> r) {
        System.out.printf("%s\t%s\tdelay-due=%s\tdelay-accepted=%s\tdelay-granted=%s%n", r.key(), r.value(),
            header(r, "delay-due"), header(r, "delay-accepted"), header(r, "delay-granted"));
        left.countDown();
    }

    static String header(ConsumerRecord<?, ?> r, String key) {
        return new String(r.headers().lastHeader(key).value(), UTF_8);
    }

    public static void main(String[] args) throws Exception {
        try (ConfigurableApplicationContext app = SpringApplication.run(Delay.class, args)) {
            app.getBean(Delay.class).left.await();
        }
    }
}
