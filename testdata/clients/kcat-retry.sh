#!/bin/sh
# Fails a record twice and sends it back with kcat, which is for trying out: a header with
# a comma in it is not sent back as it was.
#
#     ./kcat-retry.sh kafka:9092 orders
set -eu
brokers=$1 target=$2
offset=0
while :; do
	line=$(kcat -C -b "$brokers" -t "$target" -p 0 -q -o "$offset" -c 1 -f '%k\t%s\t%h\n')
	offset=$((offset + 1))
	printf '%s\n' "$line"
	case $line in *delay-attempt=2*) exit ;; esac
	key=$(printf '%s' "$line" | cut -f 1) value=$(printf '%s' "$line" | cut -f 2) headers=$(printf '%s' "$line" | cut -f 3)

	# begin retry
	set --
	IFS=,
	for header in $headers; do set -- "$@" -H "$header"; done # as it came
	unset IFS
	printf '%s:%s\n' "$key" "$value" |
		kcat -P -b "$brokers" -X topic.partitioner=murmur2_random -t delay.inbox -K : "$@" \
			-H delay-level=retry -H delay-target="$target" -H delay-retry-cause='the shop is closed'
	# end retry
done
