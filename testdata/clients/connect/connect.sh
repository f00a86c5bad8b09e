#!/bin/sh
# Kafka Connect sends the lines of two files as delayed records, and a console
# consumer reads them when they are due.
#
#     ./connect.sh kafka:9092 orders
set -eu
brokers=$1 target=$2
dir=$(mktemp -d)
echo 'order-1 through the inbox' > "$dir/inbox.txt"
echo 'order-2 straight to a level' > "$dir/level.txt"

cat > "$dir/worker.properties" << END
bootstrap.servers=$brokers
offset.storage.file.filename=$dir/offsets
listeners=http://127.0.0.1:0
key.converter=org.apache.kafka.connect.storage.StringConverter
value.converter=org.apache.kafka.connect.storage.StringConverter
header.converter=org.apache.kafka.connect.storage.StringConverter
END

# Through the inbox: any delay, which is rounded to a level.
cat > "$dir/inbox.properties" << END
name=inbox-$target
connector.class=org.apache.kafka.connect.file.FileStreamSourceConnector
file=$dir/inbox.txt
topic=delay.inbox
transforms=level,target
transforms.level.type=org.apache.kafka.connect.transforms.InsertHeader
transforms.level.header=delay-level
transforms.level.value.literal=10s
transforms.target.type=org.apache.kafka.connect.transforms.InsertHeader
transforms.target.header=delay-target
transforms.target.value.literal=$target
END

# Straight to a level: one hop less, and the level is the delay.
cat > "$dir/level.properties" << END
name=level-$target
connector.class=org.apache.kafka.connect.file.FileStreamSourceConnector
file=$dir/level.txt
topic=delay.level.10s
transforms=target
transforms.target.type=org.apache.kafka.connect.transforms.InsertHeader
transforms.target.header=delay-target
transforms.target.value.literal=$target
END

connect-standalone.sh "$dir/worker.properties" "$dir/inbox.properties" "$dir/level.properties" > "$dir/connect.log" 2>&1 &
connect=$!
trap 'kill $connect' EXIT
kafka-console-consumer.sh --bootstrap-server "$brokers" --topic "$target" --from-beginning --max-messages 2 \
	--formatter-property print.headers=true
