#!/bin/sh
# Sends two delayed records with kcat, cancels one of them, replaces the other, and reads
# what is delivered.
#
#     ./kcat-cancel.sh kafka:9092 orders
set -eu
brokers=$1 target=$2
send() {
	kcat -P -b "$brokers" -X topic.partitioner=murmur2_random -t delay.inbox -K : "$@"
}

# begin cancel
# A record that may be cancelled brings an id of its own.
printf 'order-1:to be cancelled\n' | send -H delay-level=10s -H delay-target="$target" -H delay-id="$target-1"
printf 'order-2:to be replaced\n' | send -H delay-level=10s -H delay-target="$target" -H delay-id="$target-2"

# A cancel has the key and the id, and nothing else.
printf 'order-1:\n' | send -H delay-cancel="$target-1"

# A replacement is a new record with the id: another value, another time.
printf 'order-2:replaced\n' |
	send -H delay-for=4s -H delay-target="$target" -H delay-id="$target-2" -H delay-replace=true
# end cancel

# It is due when the first two would have been delivered.
printf 'order-3:the last\n' | send -H delay-for=12s -H delay-target="$target"
kcat -C -b "$brokers" -t "$target" -q -o beginning -c 2 -f '%k\t%s\t%h\n'
