#!/bin/sh
# Sends three delayed records with kcat, and reads them when they are due.
#
#     ./kcat.sh kafka:9092 orders
set -eu
brokers=$1 target=$2

# murmur2_random places a key where Java's clients do.
# Through the inbox: any delay, which is rounded to a level.
printf 'order-1:through the inbox\n' |
	kcat -P -b "$brokers" -X topic.partitioner=murmur2_random -t delay.inbox -K : -H delay-level=10s -H delay-target="$target"

# Straight to a level: one hop less, and the level is the delay.
printf 'order-2:straight to a level\n' |
	kcat -P -b "$brokers" -X topic.partitioner=murmur2_random -t delay.level.10s -K : -H delay-target="$target"

# At an exact time, to the millisecond: with its zone, or in Unix time in ms as here.
until=$((($(date +%s) + 7) * 1000))
printf 'order-3:at an exact time\n' |
	kcat -P -b "$brokers" -X topic.partitioner=murmur2_random -t delay.inbox -K : -H delay-until="$until" -H delay-target="$target"

kcat -C -b "$brokers" -t "$target" -q -o beginning -c 3 -f '%k\t%s\t%h\n'
