#!/bin/sh
set -e
# The topics of the delay service with prefix delay and levels 5s 2h, for profile redpanda.
# message.max.bytes of the brokers is taken to be 1048576.
kafka-topics.sh --bootstrap-server kafka:9092 --command-config admin.properties --create --if-not-exists --topic delay.inbox --partitions 4 --replication-factor 3 --config cleanup.policy=delete --config retention.ms=-1 --config retention.bytes=-1 --config message.timestamp.type=LogAppendTime --config segment.bytes=67108864
kafka-topics.sh --bootstrap-server kafka:9092 --command-config admin.properties --create --if-not-exists --topic delay.level.5s --partitions 4 --replication-factor 3 --config cleanup.policy=delete --config retention.ms=-1 --config retention.bytes=-1 --config message.timestamp.type=LogAppendTime --config segment.bytes=67108864 --config max.message.bytes=1114112
kafka-topics.sh --bootstrap-server kafka:9092 --command-config admin.properties --create --if-not-exists --topic delay.level.2h --partitions 4 --replication-factor 3 --config cleanup.policy=delete --config retention.ms=-1 --config retention.bytes=-1 --config message.timestamp.type=LogAppendTime --config segment.bytes=67108864 --config max.message.bytes=1114112
kafka-topics.sh --bootstrap-server kafka:9092 --command-config admin.properties --create --if-not-exists --topic delay.parked --partitions 4 --replication-factor 3 --config cleanup.policy=delete --config retention.ms=-1 --config retention.bytes=-1 --config message.timestamp.type=LogAppendTime --config segment.bytes=67108864 --config max.message.bytes=1179648
kafka-topics.sh --bootstrap-server kafka:9092 --command-config admin.properties --create --if-not-exists --topic delay.dead --partitions 1 --replication-factor 3 --config cleanup.policy=delete --config retention.ms=-1 --config retention.bytes=-1 --config max.message.bytes=1179648
kafka-topics.sh --bootstrap-server kafka:9092 --command-config admin.properties --create --if-not-exists --topic delay.control --partitions 1 --replication-factor 3 --config cleanup.policy=compact --config retention.ms=-1 --config retention.bytes=-1
kafka-topics.sh --bootstrap-server kafka:9092 --command-config admin.properties --create --if-not-exists --topic delay.cancel --partitions 4 --replication-factor 3 --config cleanup.policy=delete --config retention.ms=2678400000 --config retention.bytes=-1 --config message.timestamp.type=LogAppendTime --config segment.bytes=67108864
# User:delayd: router, forwarder, verifier, status-reader, publisher
# READ on topic delay.inbox: read what producers send
# DELETE on topic delay.inbox: optional: delete what is handled (Kafka has no right for records alone: it is the one to delete the topic too); without it disk use grows, unless the topic has a retention and --purge-after is off
# DESCRIBE on topic delay.inbox: know up to where the router has read cancels; without it records with a delay-id wait
# DESCRIBE_CONFIGS on topic delay.inbox: optional: check its settings; without it they count as good, with a note
kafka-acls.sh --bootstrap-server kafka:9092 --command-config admin.properties --add --allow-principal User:delayd --operation Read --operation Delete --operation Describe --operation DescribeConfigs --topic delay.inbox
# WRITE on topic delay.level.*: put records where they wait
# DESCRIBE_CONFIGS on topic delay.level.*: optional: know how large a record it takes before one is refused; without it that is learned from the refusal
# READ on topic delay.level.*: read what waits
# DELETE on topic delay.level.*: optional: delete what is handled (Kafka has no right for records alone: it is the one to delete the topic too); without it disk use grows, unless the topic has a retention and --purge-after is off
# DESCRIBE on topic delay.level.*: see that it is there
kafka-acls.sh --bootstrap-server kafka:9092 --command-config admin.properties --add --allow-principal User:delayd --operation Write --operation DescribeConfigs --operation Read --operation Delete --operation Describe --topic delay.level. --resource-pattern-type prefixed
# READ on group delay.router: be a member and commit
# DESCRIBE on group delay.router: the same
# DESCRIBE on group delay.forwarder: see when what is parked for a target has been delivered
# READ on group delay.forwarder: be a member and commit
kafka-acls.sh --bootstrap-server kafka:9092 --command-config admin.properties --add --allow-principal User:delayd --operation Read --operation Describe --group delay.router --group delay.forwarder
# DESCRIBE on group delay.skipped: optional: pass what an operator has skipped
# DESCRIBE on group delay.purged: optional: tell what an operator has deleted from a loss
kafka-acls.sh --bootstrap-server kafka:9092 --command-config admin.properties --add --allow-principal User:delayd --operation Describe --group delay.skipped --group delay.purged
# WRITE on topic delay.cancel: write down what is cancelled; without it cancels wait, and what stands behind them on the inbox
# READ on topic delay.cancel: count what is cancelled
# DESCRIBE on topic delay.cancel: see that it is there
# DESCRIBE_CONFIGS on topic delay.cancel: optional: check its settings; without it they count as good, with a note
# READ on topic delay.control: optional: see what is paused; without it nothing can be
# DESCRIBE on topic delay.control: see that it is there
# DESCRIBE_CONFIGS on topic delay.control: optional: check its settings; without it they count as good, with a note
# WRITE on topic delay.control: optional: let delayd admin know the service's levels; without it, it needs --levels
kafka-acls.sh --bootstrap-server kafka:9092 --command-config admin.properties --add --allow-principal User:delayd --operation Write --operation Read --operation Describe --operation DescribeConfigs --topic delay.cancel --topic delay.control
# READ on topic delay.parked: see for which targets records are parked, and try them again
# WRITE on topic delay.parked: park records whose target is unavailable
# DESCRIBE_CONFIGS on topic delay.parked: optional: know how large a record it takes before one is refused; without it that is learned from the refusal
# DELETE on topic delay.parked: optional: delete what is handled (Kafka has no right for records alone: it is the one to delete the topic too); without it disk use grows, unless the topic has a retention and --purge-after is off
# DESCRIBE on topic delay.parked: see that it is there
kafka-acls.sh --bootstrap-server kafka:9092 --command-config admin.properties --add --allow-principal User:delayd --operation Read --operation Write --operation DescribeConfigs --operation Delete --operation Describe --topic delay.parked
# WRITE on topic delay.dead: write dead letters
# DESCRIBE_CONFIGS on topic delay.dead: optional: know how large a record it takes before one is refused; without it that is learned from the refusal
# DESCRIBE on topic delay.dead: see that it is there
kafka-acls.sh --bootstrap-server kafka:9092 --command-config admin.properties --add --allow-principal User:delayd --operation Write --operation DescribeConfigs --operation Describe --topic delay.dead
# WRITE on topic orders: deliver; without it the records for it wait, and then become dead letters
# DESCRIBE_CONFIGS on topic orders: optional: know how large a record it takes before one is refused; without it that is learned from the refusal
kafka-acls.sh --bootstrap-server kafka:9092 --command-config admin.properties --add --allow-principal User:delayd --operation Write --operation DescribeConfigs --topic orders
# WRITE on topic shop.*: deliver; without it the records for it wait, and then become dead letters
# DESCRIBE_CONFIGS on topic shop.*: optional: know how large a record it takes before one is refused; without it that is learned from the refusal
kafka-acls.sh --bootstrap-server kafka:9092 --command-config admin.properties --add --allow-principal User:delayd --operation Write --operation DescribeConfigs --topic shop. --resource-pattern-type prefixed
# WRITE on transactional id delay.router-*: deliver and commit in one transaction
# WRITE on transactional id delay.forwarder-*: deliver and commit in one transaction
kafka-acls.sh --bootstrap-server kafka:9092 --command-config admin.properties --add --allow-principal User:delayd --operation Write --transactional-id delay.router- --transactional-id delay.forwarder- --resource-pattern-type prefixed
# DESCRIBE_CONFIGS on cluster kafka-cluster: optional: know how large a record the brokers take; without it Kafka's default counts
kafka-acls.sh --bootstrap-server kafka:9092 --command-config admin.properties --add --allow-principal User:delayd --operation DescribeConfigs --cluster
# User:delayd-admin: configurer, status-reader, record-reader, resender, purger, dead-letter-deleter, operator, skipper
# CREATE on topic delay.inbox: create it
# DESCRIBE on topic delay.inbox: see that it is there
# DESCRIBE_CONFIGS on topic delay.inbox: optional: check its settings; without it they count as good, with a note
# ALTER_CONFIGS on topic delay.inbox: fix its settings
# READ on topic delay.inbox: find a record that is not routed yet
# WRITE on topic delay.inbox: send them again
# CREATE on topic delay.control: create it
# DESCRIBE on topic delay.control: see that it is there
# DESCRIBE_CONFIGS on topic delay.control: optional: check its settings; without it they count as good, with a note
# ALTER_CONFIGS on topic delay.control: fix its settings
# READ on topic delay.control: see what is paused; without it nothing can be
# WRITE on topic delay.control: pause and resume
kafka-acls.sh --bootstrap-server kafka:9092 --command-config admin.properties --add --allow-principal User:delayd-admin --operation Create --operation Describe --operation DescribeConfigs --operation AlterConfigs --operation Read --operation Write --topic delay.inbox --topic delay.control
# CREATE on topic delay.level.*: create it
# DESCRIBE on topic delay.level.*: see that it is there
# DESCRIBE_CONFIGS on topic delay.level.*: optional: check its settings; without it they count as good, with a note
# ALTER_CONFIGS on topic delay.level.*: fix its settings
# READ on topic delay.level.*: read what is pending
# WRITE on topic delay.level.*: send those again that were on a level
# DELETE on topic delay.level.*: delete what is pending
kafka-acls.sh --bootstrap-server kafka:9092 --command-config admin.properties --add --allow-principal User:delayd-admin --operation Create --operation Describe --operation DescribeConfigs --operation AlterConfigs --operation Read --operation Write --operation Delete --topic delay.level. --resource-pattern-type prefixed
# CREATE on topic delay.parked: create it
# DESCRIBE on topic delay.parked: see that it is there
# DESCRIBE_CONFIGS on topic delay.parked: optional: check its settings; without it they count as good, with a note
# ALTER_CONFIGS on topic delay.parked: fix its settings
# READ on topic delay.parked: read what is parked
kafka-acls.sh --bootstrap-server kafka:9092 --command-config admin.properties --add --allow-principal User:delayd-admin --operation Create --operation Describe --operation DescribeConfigs --operation AlterConfigs --operation Read --topic delay.parked
# CREATE on topic delay.dead: create it
# DESCRIBE on topic delay.dead: see that it is there
# DESCRIBE_CONFIGS on topic delay.dead: optional: check its settings; without it they count as good, with a note
# ALTER_CONFIGS on topic delay.dead: fix its settings
# READ on topic delay.dead: read the dead letters
# DELETE on topic delay.dead: delete dead letters (Kafka has no right for records alone: it is the one to delete the topic too)
# WRITE on topic delay.dead: write the dead letter
kafka-acls.sh --bootstrap-server kafka:9092 --command-config admin.properties --add --allow-principal User:delayd-admin --operation Create --operation Describe --operation DescribeConfigs --operation AlterConfigs --operation Read --operation Delete --operation Write --topic delay.dead
# CREATE on topic delay.cancel: create it
# DESCRIBE on topic delay.cancel: see that it is there
# DESCRIBE_CONFIGS on topic delay.cancel: optional: check its settings; without it they count as good, with a note
# ALTER_CONFIGS on topic delay.cancel: fix its settings
kafka-acls.sh --bootstrap-server kafka:9092 --command-config admin.properties --add --allow-principal User:delayd-admin --operation Create --operation Describe --operation DescribeConfigs --operation AlterConfigs --topic delay.cancel
# DESCRIBE_CONFIGS on cluster kafka-cluster: optional: know how large a record the brokers take; without it Kafka's default counts
kafka-acls.sh --bootstrap-server kafka:9092 --command-config admin.properties --add --allow-principal User:delayd-admin --operation DescribeConfigs --cluster
# DESCRIBE on group delay.router: see its commits and members
# DESCRIBE on group delay.forwarder: see its commits and members
kafka-acls.sh --bootstrap-server kafka:9092 --command-config admin.properties --add --allow-principal User:delayd-admin --operation Describe --group delay.router --group delay.forwarder
# READ on topic delay.resent: know which were sent again
# WRITE on topic delay.resent: tell which were sent again
# CREATE on topic delay.resent: optional: create it; without it somebody else has to
# DESCRIBE_CONFIGS on topic delay.resent: optional: check that what was sent again is remembered for as long as the letters are there; without it that counts as true
kafka-acls.sh --bootstrap-server kafka:9092 --command-config admin.properties --add --allow-principal User:delayd-admin --operation Read --operation Write --operation Create --operation DescribeConfigs --topic delay.resent
# WRITE on transactional id delay.resent: send and tell in one transaction
kafka-acls.sh --bootstrap-server kafka:9092 --command-config admin.properties --add --allow-principal User:delayd-admin --operation Write --transactional-id delay.resent
# READ on group delay.purged: tell the forwarders what is deleted
# READ on group delay.skipped: tell the service where to go on
kafka-acls.sh --bootstrap-server kafka:9092 --command-config admin.properties --add --allow-principal User:delayd-admin --operation Read --group delay.purged --group delay.skipped
# User:wall: verifier, status-reader
# DESCRIBE on topic delay.inbox: see that it is there
# DESCRIBE_CONFIGS on topic delay.inbox: optional: check its settings; without it they count as good, with a note
# DESCRIBE on topic delay.parked: see that it is there
# DESCRIBE_CONFIGS on topic delay.parked: optional: check its settings; without it they count as good, with a note
# DESCRIBE on topic delay.dead: see that it is there
# DESCRIBE_CONFIGS on topic delay.dead: optional: check its settings; without it they count as good, with a note
# DESCRIBE on topic delay.cancel: see that it is there
# DESCRIBE_CONFIGS on topic delay.cancel: optional: check its settings; without it they count as good, with a note
kafka-acls.sh --bootstrap-server kafka:9092 --command-config admin.properties --add --allow-principal User:wall --operation Describe --operation DescribeConfigs --topic delay.inbox --topic delay.parked --topic delay.dead --topic delay.cancel
# DESCRIBE on topic delay.level.*: see that it is there
# DESCRIBE_CONFIGS on topic delay.level.*: optional: check its settings; without it they count as good, with a note
kafka-acls.sh --bootstrap-server kafka:9092 --command-config admin.properties --add --allow-principal User:wall --operation Describe --operation DescribeConfigs --topic delay.level. --resource-pattern-type prefixed
# DESCRIBE on topic delay.control: see that it is there
# DESCRIBE_CONFIGS on topic delay.control: optional: check its settings; without it they count as good, with a note
# READ on topic delay.control: optional: see what is paused; without it nothing can be
kafka-acls.sh --bootstrap-server kafka:9092 --command-config admin.properties --add --allow-principal User:wall --operation Describe --operation DescribeConfigs --operation Read --topic delay.control
# DESCRIBE_CONFIGS on cluster kafka-cluster: optional: know how large a record the brokers take; without it Kafka's default counts
kafka-acls.sh --bootstrap-server kafka:9092 --command-config admin.properties --add --allow-principal User:wall --operation DescribeConfigs --cluster
# DESCRIBE on group delay.router: see its commits and members
# DESCRIBE on group delay.forwarder: see its commits and members
kafka-acls.sh --bootstrap-server kafka:9092 --command-config admin.properties --add --allow-principal User:wall --operation Describe --group delay.router --group delay.forwarder
# User:shop: producer, consumer
# WRITE on topic delay.inbox: send to the inbox
kafka-acls.sh --bootstrap-server kafka:9092 --command-config admin.properties --add --allow-principal User:shop --operation Write --topic delay.inbox
# WRITE on topic delay.level.*: optional: send straight to a level; without it the inbox is the way
kafka-acls.sh --bootstrap-server kafka:9092 --command-config admin.properties --add --allow-principal User:shop --operation Write --topic delay.level. --resource-pattern-type prefixed
# READ on topic orders: read what is delivered
kafka-acls.sh --bootstrap-server kafka:9092 --command-config admin.properties --add --allow-principal User:shop --operation Read --topic orders
# READ on topic shop.*: read what is delivered
kafka-acls.sh --bootstrap-server kafka:9092 --command-config admin.properties --add --allow-principal User:shop --operation Read --topic shop. --resource-pattern-type prefixed
# READ on group billing: be a member and commit
kafka-acls.sh --bootstrap-server kafka:9092 --command-config admin.properties --add --allow-principal User:shop --operation Read --group billing
# User:billing: consumer
# READ on topic orders: read what is delivered
kafka-acls.sh --bootstrap-server kafka:9092 --command-config admin.properties --add --allow-principal User:billing --operation Read --topic orders
# READ on topic shop.*: read what is delivered
kafka-acls.sh --bootstrap-server kafka:9092 --command-config admin.properties --add --allow-principal User:billing --operation Read --topic shop. --resource-pattern-type prefixed
# READ on group billing: be a member and commit
kafka-acls.sh --bootstrap-server kafka:9092 --command-config admin.properties --add --allow-principal User:billing --operation Read --group billing
