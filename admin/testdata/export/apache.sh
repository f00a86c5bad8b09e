#!/bin/sh
set -e
# The topics of the delay service with prefix delay and levels 5s 2h, for profile apache.
# message.max.bytes of the brokers is taken to be 1048588.
kafka-topics.sh --bootstrap-server kafka:9092 --command-config admin.properties --create --if-not-exists --topic delay.inbox --partitions 4 --replication-factor 3 --config cleanup.policy=delete --config retention.ms=-1 --config retention.bytes=-1 --config message.timestamp.type=LogAppendTime --config segment.bytes=67108864 --config segment.ms=600000 --config min.insync.replicas=2
kafka-topics.sh --bootstrap-server kafka:9092 --command-config admin.properties --create --if-not-exists --topic delay.level.5s --partitions 4 --replication-factor 3 --config cleanup.policy=delete --config retention.ms=-1 --config retention.bytes=-1 --config message.timestamp.type=LogAppendTime --config segment.bytes=67108864 --config segment.ms=600000 --config max.message.bytes=1114124 --config min.insync.replicas=2
kafka-topics.sh --bootstrap-server kafka:9092 --command-config admin.properties --create --if-not-exists --topic delay.level.2h --partitions 4 --replication-factor 3 --config cleanup.policy=delete --config retention.ms=-1 --config retention.bytes=-1 --config message.timestamp.type=LogAppendTime --config segment.bytes=67108864 --config segment.ms=1800000 --config max.message.bytes=1114124 --config min.insync.replicas=2
kafka-topics.sh --bootstrap-server kafka:9092 --command-config admin.properties --create --if-not-exists --topic delay.parked --partitions 4 --replication-factor 3 --config cleanup.policy=delete --config retention.ms=-1 --config retention.bytes=-1 --config message.timestamp.type=LogAppendTime --config segment.bytes=67108864 --config segment.ms=600000 --config max.message.bytes=1179660 --config min.insync.replicas=2
kafka-topics.sh --bootstrap-server kafka:9092 --command-config admin.properties --create --if-not-exists --topic delay.dead --partitions 1 --replication-factor 3 --config cleanup.policy=delete --config retention.ms=-1 --config retention.bytes=-1 --config max.message.bytes=1179660 --config min.insync.replicas=2
kafka-topics.sh --bootstrap-server kafka:9092 --command-config admin.properties --create --if-not-exists --topic delay.control --partitions 1 --replication-factor 3 --config cleanup.policy=compact --config retention.ms=-1 --config retention.bytes=-1 --config min.insync.replicas=2
# User:delayd: router, forwarder, verifier, status, publisher
# read what producers send
kafka-acls.sh --bootstrap-server kafka:9092 --command-config admin.properties --add --allow-principal User:delayd --operation Read --topic delay.inbox
# optional: delete what is handled (Kafka has no right for records alone: it is the one to delete the topic too); without it disk use grows, unless the topic has a retention and --purge-after is off
kafka-acls.sh --bootstrap-server kafka:9092 --command-config admin.properties --add --allow-principal User:delayd --operation Delete --topic delay.inbox
# put records where they wait
kafka-acls.sh --bootstrap-server kafka:9092 --command-config admin.properties --add --allow-principal User:delayd --operation Write --topic delay.level. --resource-pattern-type prefixed
# be a member and commit
kafka-acls.sh --bootstrap-server kafka:9092 --command-config admin.properties --add --allow-principal User:delayd --operation Read --group delay.router
# optional: pass what an operator has skipped
kafka-acls.sh --bootstrap-server kafka:9092 --command-config admin.properties --add --allow-principal User:delayd --operation Describe --group delay.skipped
# see when what is parked for a target has been delivered
kafka-acls.sh --bootstrap-server kafka:9092 --command-config admin.properties --add --allow-principal User:delayd --operation Describe --group delay.forwarder
# optional: know how large a record it takes before one is refused; without it that is learned from the refusal
kafka-acls.sh --bootstrap-server kafka:9092 --command-config admin.properties --add --allow-principal User:delayd --operation DescribeConfigs --topic delay.level. --resource-pattern-type prefixed
# optional: see what is paused; without it nothing can be
kafka-acls.sh --bootstrap-server kafka:9092 --command-config admin.properties --add --allow-principal User:delayd --operation Read --topic delay.control
# see for which targets records are parked, and try them again
kafka-acls.sh --bootstrap-server kafka:9092 --command-config admin.properties --add --allow-principal User:delayd --operation Read --topic delay.parked
# park records whose target is sick
kafka-acls.sh --bootstrap-server kafka:9092 --command-config admin.properties --add --allow-principal User:delayd --operation Write --topic delay.parked
# write dead letters
kafka-acls.sh --bootstrap-server kafka:9092 --command-config admin.properties --add --allow-principal User:delayd --operation Write --topic delay.dead
# optional: know how large a record it takes before one is refused; without it that is learned from the refusal
kafka-acls.sh --bootstrap-server kafka:9092 --command-config admin.properties --add --allow-principal User:delayd --operation DescribeConfigs --topic delay.parked
# optional: know how large a record it takes before one is refused; without it that is learned from the refusal
kafka-acls.sh --bootstrap-server kafka:9092 --command-config admin.properties --add --allow-principal User:delayd --operation DescribeConfigs --topic delay.dead
# deliver; without it the records for it wait, and then become dead letters
kafka-acls.sh --bootstrap-server kafka:9092 --command-config admin.properties --add --allow-principal User:delayd --operation Write --topic orders
# optional: know how large a record it takes before one is refused; without it that is learned from the refusal
kafka-acls.sh --bootstrap-server kafka:9092 --command-config admin.properties --add --allow-principal User:delayd --operation DescribeConfigs --topic orders
# deliver; without it the records for it wait, and then become dead letters
kafka-acls.sh --bootstrap-server kafka:9092 --command-config admin.properties --add --allow-principal User:delayd --operation Write --topic shop. --resource-pattern-type prefixed
# optional: know how large a record it takes before one is refused; without it that is learned from the refusal
kafka-acls.sh --bootstrap-server kafka:9092 --command-config admin.properties --add --allow-principal User:delayd --operation DescribeConfigs --topic shop. --resource-pattern-type prefixed
# deliver and commit in one transaction
kafka-acls.sh --bootstrap-server kafka:9092 --command-config admin.properties --add --allow-principal User:delayd --operation Write --transactional-id delay.router- --resource-pattern-type prefixed
# read what waits
kafka-acls.sh --bootstrap-server kafka:9092 --command-config admin.properties --add --allow-principal User:delayd --operation Read --topic delay.level. --resource-pattern-type prefixed
# optional: delete what is handled (Kafka has no right for records alone: it is the one to delete the topic too); without it disk use grows, unless the topic has a retention and --purge-after is off
kafka-acls.sh --bootstrap-server kafka:9092 --command-config admin.properties --add --allow-principal User:delayd --operation Delete --topic delay.level. --resource-pattern-type prefixed
# optional: delete what is handled (Kafka has no right for records alone: it is the one to delete the topic too); without it disk use grows, unless the topic has a retention and --purge-after is off
kafka-acls.sh --bootstrap-server kafka:9092 --command-config admin.properties --add --allow-principal User:delayd --operation Delete --topic delay.parked
# be a member and commit
kafka-acls.sh --bootstrap-server kafka:9092 --command-config admin.properties --add --allow-principal User:delayd --operation Read --group delay.forwarder
# optional: tell what an operator has deleted from a loss
kafka-acls.sh --bootstrap-server kafka:9092 --command-config admin.properties --add --allow-principal User:delayd --operation Describe --group delay.purged
# deliver and commit in one transaction
kafka-acls.sh --bootstrap-server kafka:9092 --command-config admin.properties --add --allow-principal User:delayd --operation Write --transactional-id delay.forwarder- --resource-pattern-type prefixed
# see that it is there
kafka-acls.sh --bootstrap-server kafka:9092 --command-config admin.properties --add --allow-principal User:delayd --operation Describe --topic delay.inbox
# optional: check its settings; without it they count as good, with a note
kafka-acls.sh --bootstrap-server kafka:9092 --command-config admin.properties --add --allow-principal User:delayd --operation DescribeConfigs --topic delay.inbox
# see that it is there
kafka-acls.sh --bootstrap-server kafka:9092 --command-config admin.properties --add --allow-principal User:delayd --operation Describe --topic delay.level. --resource-pattern-type prefixed
# see that it is there
kafka-acls.sh --bootstrap-server kafka:9092 --command-config admin.properties --add --allow-principal User:delayd --operation Describe --topic delay.parked
# see that it is there
kafka-acls.sh --bootstrap-server kafka:9092 --command-config admin.properties --add --allow-principal User:delayd --operation Describe --topic delay.dead
# see that it is there
kafka-acls.sh --bootstrap-server kafka:9092 --command-config admin.properties --add --allow-principal User:delayd --operation Describe --topic delay.control
# optional: check its settings; without it they count as good, with a note
kafka-acls.sh --bootstrap-server kafka:9092 --command-config admin.properties --add --allow-principal User:delayd --operation DescribeConfigs --topic delay.control
# optional: know how large a record the brokers take; without it Kafka's default counts
kafka-acls.sh --bootstrap-server kafka:9092 --command-config admin.properties --add --allow-principal User:delayd --operation DescribeConfigs --cluster
# see its commits and members
kafka-acls.sh --bootstrap-server kafka:9092 --command-config admin.properties --add --allow-principal User:delayd --operation Describe --group delay.router
# optional: let delayd admin know the service's levels; without it, it needs --levels
kafka-acls.sh --bootstrap-server kafka:9092 --command-config admin.properties --add --allow-principal User:delayd --operation Write --topic delay.control
# User:delayd-admin: mender, status, letters, resender, purger, letter-deleter, operator, skipper
# create it
kafka-acls.sh --bootstrap-server kafka:9092 --command-config admin.properties --add --allow-principal User:delayd-admin --operation Create --topic delay.inbox
# create it
kafka-acls.sh --bootstrap-server kafka:9092 --command-config admin.properties --add --allow-principal User:delayd-admin --operation Create --topic delay.level. --resource-pattern-type prefixed
# create it
kafka-acls.sh --bootstrap-server kafka:9092 --command-config admin.properties --add --allow-principal User:delayd-admin --operation Create --topic delay.parked
# create it
kafka-acls.sh --bootstrap-server kafka:9092 --command-config admin.properties --add --allow-principal User:delayd-admin --operation Create --topic delay.dead
# create it
kafka-acls.sh --bootstrap-server kafka:9092 --command-config admin.properties --add --allow-principal User:delayd-admin --operation Create --topic delay.control
# see that it is there
kafka-acls.sh --bootstrap-server kafka:9092 --command-config admin.properties --add --allow-principal User:delayd-admin --operation Describe --topic delay.inbox
# optional: check its settings; without it they count as good, with a note
kafka-acls.sh --bootstrap-server kafka:9092 --command-config admin.properties --add --allow-principal User:delayd-admin --operation DescribeConfigs --topic delay.inbox
# see that it is there
kafka-acls.sh --bootstrap-server kafka:9092 --command-config admin.properties --add --allow-principal User:delayd-admin --operation Describe --topic delay.level. --resource-pattern-type prefixed
# optional: check its settings; without it they count as good, with a note
kafka-acls.sh --bootstrap-server kafka:9092 --command-config admin.properties --add --allow-principal User:delayd-admin --operation DescribeConfigs --topic delay.level. --resource-pattern-type prefixed
# see that it is there
kafka-acls.sh --bootstrap-server kafka:9092 --command-config admin.properties --add --allow-principal User:delayd-admin --operation Describe --topic delay.parked
# optional: check its settings; without it they count as good, with a note
kafka-acls.sh --bootstrap-server kafka:9092 --command-config admin.properties --add --allow-principal User:delayd-admin --operation DescribeConfigs --topic delay.parked
# see that it is there
kafka-acls.sh --bootstrap-server kafka:9092 --command-config admin.properties --add --allow-principal User:delayd-admin --operation Describe --topic delay.dead
# optional: check its settings; without it they count as good, with a note
kafka-acls.sh --bootstrap-server kafka:9092 --command-config admin.properties --add --allow-principal User:delayd-admin --operation DescribeConfigs --topic delay.dead
# see that it is there
kafka-acls.sh --bootstrap-server kafka:9092 --command-config admin.properties --add --allow-principal User:delayd-admin --operation Describe --topic delay.control
# optional: check its settings; without it they count as good, with a note
kafka-acls.sh --bootstrap-server kafka:9092 --command-config admin.properties --add --allow-principal User:delayd-admin --operation DescribeConfigs --topic delay.control
# optional: know how large a record the brokers take; without it Kafka's default counts
kafka-acls.sh --bootstrap-server kafka:9092 --command-config admin.properties --add --allow-principal User:delayd-admin --operation DescribeConfigs --cluster
# mend its settings
kafka-acls.sh --bootstrap-server kafka:9092 --command-config admin.properties --add --allow-principal User:delayd-admin --operation AlterConfigs --topic delay.inbox
# mend its settings
kafka-acls.sh --bootstrap-server kafka:9092 --command-config admin.properties --add --allow-principal User:delayd-admin --operation AlterConfigs --topic delay.level. --resource-pattern-type prefixed
# mend its settings
kafka-acls.sh --bootstrap-server kafka:9092 --command-config admin.properties --add --allow-principal User:delayd-admin --operation AlterConfigs --topic delay.parked
# mend its settings
kafka-acls.sh --bootstrap-server kafka:9092 --command-config admin.properties --add --allow-principal User:delayd-admin --operation AlterConfigs --topic delay.dead
# mend its settings
kafka-acls.sh --bootstrap-server kafka:9092 --command-config admin.properties --add --allow-principal User:delayd-admin --operation AlterConfigs --topic delay.control
# see what is paused; without it nothing can be
kafka-acls.sh --bootstrap-server kafka:9092 --command-config admin.properties --add --allow-principal User:delayd-admin --operation Read --topic delay.control
# see its commits and members
kafka-acls.sh --bootstrap-server kafka:9092 --command-config admin.properties --add --allow-principal User:delayd-admin --operation Describe --group delay.router
# see its commits and members
kafka-acls.sh --bootstrap-server kafka:9092 --command-config admin.properties --add --allow-principal User:delayd-admin --operation Describe --group delay.forwarder
# read the dead letters
kafka-acls.sh --bootstrap-server kafka:9092 --command-config admin.properties --add --allow-principal User:delayd-admin --operation Read --topic delay.dead
# know which were sent again
kafka-acls.sh --bootstrap-server kafka:9092 --command-config admin.properties --add --allow-principal User:delayd-admin --operation Read --topic delay.resent
# read what is parked
kafka-acls.sh --bootstrap-server kafka:9092 --command-config admin.properties --add --allow-principal User:delayd-admin --operation Read --topic delay.parked
# read what is pending
kafka-acls.sh --bootstrap-server kafka:9092 --command-config admin.properties --add --allow-principal User:delayd-admin --operation Read --topic delay.level. --resource-pattern-type prefixed
# tell which were sent again
kafka-acls.sh --bootstrap-server kafka:9092 --command-config admin.properties --add --allow-principal User:delayd-admin --operation Write --topic delay.resent
# optional: create it; without it somebody else has to
kafka-acls.sh --bootstrap-server kafka:9092 --command-config admin.properties --add --allow-principal User:delayd-admin --operation Create --topic delay.resent
# send them again
kafka-acls.sh --bootstrap-server kafka:9092 --command-config admin.properties --add --allow-principal User:delayd-admin --operation Write --topic delay.inbox
# send those again that were on a level
kafka-acls.sh --bootstrap-server kafka:9092 --command-config admin.properties --add --allow-principal User:delayd-admin --operation Write --topic delay.level. --resource-pattern-type prefixed
# send and tell in one transaction
kafka-acls.sh --bootstrap-server kafka:9092 --command-config admin.properties --add --allow-principal User:delayd-admin --operation Write --transactional-id delay.resent
# delete what is pending
kafka-acls.sh --bootstrap-server kafka:9092 --command-config admin.properties --add --allow-principal User:delayd-admin --operation Delete --topic delay.level. --resource-pattern-type prefixed
# tell the forwarders what is deleted
kafka-acls.sh --bootstrap-server kafka:9092 --command-config admin.properties --add --allow-principal User:delayd-admin --operation Read --group delay.purged
# delete dead letters (Kafka has no right for records alone: it is the one to delete the topic too)
kafka-acls.sh --bootstrap-server kafka:9092 --command-config admin.properties --add --allow-principal User:delayd-admin --operation Delete --topic delay.dead
# pause and resume
kafka-acls.sh --bootstrap-server kafka:9092 --command-config admin.properties --add --allow-principal User:delayd-admin --operation Write --topic delay.control
# read the batch, and tell the router where to go on
kafka-acls.sh --bootstrap-server kafka:9092 --command-config admin.properties --add --allow-principal User:delayd-admin --operation Read --topic delay.inbox
# write the dead letter
kafka-acls.sh --bootstrap-server kafka:9092 --command-config admin.properties --add --allow-principal User:delayd-admin --operation Write --topic delay.dead
# tell the service where to go on
kafka-acls.sh --bootstrap-server kafka:9092 --command-config admin.properties --add --allow-principal User:delayd-admin --operation Read --group delay.skipped
# User:shop: producer, consumer
# send to the inbox
kafka-acls.sh --bootstrap-server kafka:9092 --command-config admin.properties --add --allow-principal User:shop --operation Write --topic delay.inbox
# optional: send straight to a level; without it the inbox is the way
kafka-acls.sh --bootstrap-server kafka:9092 --command-config admin.properties --add --allow-principal User:shop --operation Write --topic delay.level. --resource-pattern-type prefixed
# read what is delivered
kafka-acls.sh --bootstrap-server kafka:9092 --command-config admin.properties --add --allow-principal User:shop --operation Read --topic orders
# read what is delivered
kafka-acls.sh --bootstrap-server kafka:9092 --command-config admin.properties --add --allow-principal User:shop --operation Read --topic shop. --resource-pattern-type prefixed
# be a member and commit
kafka-acls.sh --bootstrap-server kafka:9092 --command-config admin.properties --add --allow-principal User:shop --operation Read --group billing
# User:billing: consumer
# read what is delivered
kafka-acls.sh --bootstrap-server kafka:9092 --command-config admin.properties --add --allow-principal User:billing --operation Read --topic orders
# read what is delivered
kafka-acls.sh --bootstrap-server kafka:9092 --command-config admin.properties --add --allow-principal User:billing --operation Read --topic shop. --resource-pattern-type prefixed
# be a member and commit
kafka-acls.sh --bootstrap-server kafka:9092 --command-config admin.properties --add --allow-principal User:billing --operation Read --group billing
