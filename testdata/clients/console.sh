#!/bin/sh
# Sends two delayed records with the console clients that come with Kafka, and
# reads them when they are due.
#
#     ./console.sh kafka:9092 orders
set -eu
brokers=$1 target=$2

# send TOPIC HEADERS KEY VALUE. Before Kafka 4.2, --reader-property is --property.
send() {
	printf '%s\t%s\t%s\n' "$2" "$3" "$4" |
		kafka-console-producer.sh --bootstrap-server "$brokers" --topic "$1" \
			--reader-property parse.headers=true --reader-property parse.key=true
}

# Through the inbox: any delay, which is rounded to a level.
send delay.inbox "delay-level:10s,delay-target:$target" order-1 'through the inbox'

# Straight to a level: one hop less, and the level is the delay.
send delay.level.10s "delay-target:$target" order-2 'straight to a level'

# Before Kafka 4.2, --formatter-property is --property.
kafka-console-consumer.sh --bootstrap-server "$brokers" --topic "$target" --from-beginning --max-messages 2 \
	--formatter-property print.headers=true --formatter-property print.key=true
