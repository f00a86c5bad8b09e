#!/bin/sh
set -e
# The topics of the delay service with prefix delay and levels 5s 2h, for profile msk-serverless.
# message.max.bytes of the brokers is taken to be 1048588.
kafka-topics.sh --bootstrap-server kafka:9092 --command-config admin.properties --create --if-not-exists --topic delay.inbox --partitions 4 --replication-factor 3 --config cleanup.policy=delete --config retention.ms=-1 --config retention.bytes=-1 --config message.timestamp.type=LogAppendTime
kafka-topics.sh --bootstrap-server kafka:9092 --command-config admin.properties --create --if-not-exists --topic delay.level.5s --partitions 4 --replication-factor 3 --config cleanup.policy=delete --config retention.ms=-1 --config retention.bytes=-1 --config message.timestamp.type=LogAppendTime --config max.message.bytes=1114124
kafka-topics.sh --bootstrap-server kafka:9092 --command-config admin.properties --create --if-not-exists --topic delay.level.2h --partitions 4 --replication-factor 3 --config cleanup.policy=delete --config retention.ms=-1 --config retention.bytes=-1 --config message.timestamp.type=LogAppendTime --config max.message.bytes=1114124
kafka-topics.sh --bootstrap-server kafka:9092 --command-config admin.properties --create --if-not-exists --topic delay.parked --partitions 4 --replication-factor 3 --config cleanup.policy=delete --config retention.ms=-1 --config retention.bytes=-1 --config message.timestamp.type=LogAppendTime --config max.message.bytes=1179660
kafka-topics.sh --bootstrap-server kafka:9092 --command-config admin.properties --create --if-not-exists --topic delay.dead --partitions 1 --replication-factor 3 --config cleanup.policy=delete --config retention.ms=-1 --config retention.bytes=-1 --config max.message.bytes=1179660
kafka-topics.sh --bootstrap-server kafka:9092 --command-config admin.properties --create --if-not-exists --topic delay.control --partitions 1 --replication-factor 3 --config cleanup.policy=compact --config retention.ms=-1 --config retention.bytes=-1
kafka-topics.sh --bootstrap-server kafka:9092 --command-config admin.properties --create --if-not-exists --topic delay.cancel --partitions 4 --replication-factor 3 --config cleanup.policy=delete --config retention.ms=2678400000 --config retention.bytes=-1 --config message.timestamp.type=LogAppendTime
# This cluster has no ACLs: these rights are granted by IAM policies.
# User:delayd: router, forwarder, verifier, status-reader, publisher
#   READ on topic delay.inbox: read what producers send
#   DELETE on topic delay.inbox: optional: delete what is handled (Kafka has no right for records alone: it is the one to delete the topic too); without it disk use grows, unless the topic has a retention and --purge-after is off
#   WRITE on topic delay.level.*: put records where they wait
#   READ on group delay.router: be a member and commit
#   DESCRIBE on group delay.skipped: optional: pass what an operator has skipped
#   WRITE on topic delay.cancel: write down what is cancelled; without it cancels wait, and what stands behind them on the inbox
#   READ on topic delay.cancel: count what is cancelled
#   DESCRIBE on group delay.forwarder: see when what is parked for a target has been delivered
#   DESCRIBE_CONFIGS on topic delay.level.*: optional: know how large a record it takes before one is refused; without it that is learned from the refusal
#   READ on topic delay.control: optional: see what is paused; without it nothing can be
#   READ on topic delay.parked: see for which targets records are parked, and try them again
#   WRITE on topic delay.parked: park records whose target is unavailable
#   WRITE on topic delay.dead: write dead letters
#   DESCRIBE_CONFIGS on topic delay.parked: optional: know how large a record it takes before one is refused; without it that is learned from the refusal
#   DESCRIBE_CONFIGS on topic delay.dead: optional: know how large a record it takes before one is refused; without it that is learned from the refusal
#   WRITE on topic orders: deliver; without it the records for it wait, and then become dead letters
#   DESCRIBE_CONFIGS on topic orders: optional: know how large a record it takes before one is refused; without it that is learned from the refusal
#   WRITE on topic shop.*: deliver; without it the records for it wait, and then become dead letters
#   DESCRIBE_CONFIGS on topic shop.*: optional: know how large a record it takes before one is refused; without it that is learned from the refusal
#   WRITE on transactional id delay.router-*: deliver and commit in one transaction
#   READ on topic delay.level.*: read what waits
#   DESCRIBE on topic delay.inbox: know up to where the router has read cancels; without it records with a delay-id wait
#   DESCRIBE on group delay.router: the same
#   DELETE on topic delay.level.*: optional: delete what is handled (Kafka has no right for records alone: it is the one to delete the topic too); without it disk use grows, unless the topic has a retention and --purge-after is off
#   DELETE on topic delay.parked: optional: delete what is handled (Kafka has no right for records alone: it is the one to delete the topic too); without it disk use grows, unless the topic has a retention and --purge-after is off
#   READ on group delay.forwarder: be a member and commit
#   DESCRIBE on group delay.purged: optional: tell what an operator has deleted from a loss
#   WRITE on transactional id delay.forwarder-*: deliver and commit in one transaction
#   DESCRIBE_CONFIGS on topic delay.inbox: optional: check its settings; without it they count as good, with a note
#   DESCRIBE on topic delay.level.*: see that it is there
#   DESCRIBE on topic delay.parked: see that it is there
#   DESCRIBE on topic delay.dead: see that it is there
#   DESCRIBE on topic delay.control: see that it is there
#   DESCRIBE_CONFIGS on topic delay.control: optional: check its settings; without it they count as good, with a note
#   DESCRIBE on topic delay.cancel: see that it is there
#   DESCRIBE_CONFIGS on topic delay.cancel: optional: check its settings; without it they count as good, with a note
#   DESCRIBE_CONFIGS on cluster kafka-cluster: optional: know how large a record the brokers take; without it Kafka's default counts
#   WRITE on topic delay.control: optional: let delayd admin know the service's levels; without it, it needs --levels
# User:delayd-admin: configurer, status-reader, record-reader, resender, purger, dead-letter-deleter, operator, skipper
#   CREATE on topic delay.inbox: create it
#   CREATE on topic delay.level.*: create it
#   CREATE on topic delay.parked: create it
#   CREATE on topic delay.dead: create it
#   CREATE on topic delay.control: create it
#   CREATE on topic delay.cancel: create it
#   DESCRIBE on topic delay.inbox: see that it is there
#   DESCRIBE_CONFIGS on topic delay.inbox: optional: check its settings; without it they count as good, with a note
#   DESCRIBE on topic delay.level.*: see that it is there
#   DESCRIBE_CONFIGS on topic delay.level.*: optional: check its settings; without it they count as good, with a note
#   DESCRIBE on topic delay.parked: see that it is there
#   DESCRIBE_CONFIGS on topic delay.parked: optional: check its settings; without it they count as good, with a note
#   DESCRIBE on topic delay.dead: see that it is there
#   DESCRIBE_CONFIGS on topic delay.dead: optional: check its settings; without it they count as good, with a note
#   DESCRIBE on topic delay.control: see that it is there
#   DESCRIBE_CONFIGS on topic delay.control: optional: check its settings; without it they count as good, with a note
#   DESCRIBE on topic delay.cancel: see that it is there
#   DESCRIBE_CONFIGS on topic delay.cancel: optional: check its settings; without it they count as good, with a note
#   DESCRIBE_CONFIGS on cluster kafka-cluster: optional: know how large a record the brokers take; without it Kafka's default counts
#   ALTER_CONFIGS on topic delay.inbox: fix its settings
#   ALTER_CONFIGS on topic delay.level.*: fix its settings
#   ALTER_CONFIGS on topic delay.parked: fix its settings
#   ALTER_CONFIGS on topic delay.dead: fix its settings
#   ALTER_CONFIGS on topic delay.control: fix its settings
#   ALTER_CONFIGS on topic delay.cancel: fix its settings
#   READ on topic delay.control: see what is paused; without it nothing can be
#   DESCRIBE on group delay.router: see its commits and members
#   DESCRIBE on group delay.forwarder: see its commits and members
#   READ on topic delay.dead: read the dead letters
#   READ on topic delay.resent: know which were sent again
#   READ on topic delay.parked: read what is parked
#   READ on topic delay.level.*: read what is pending
#   READ on topic delay.inbox: find a record that is not routed yet
#   WRITE on topic delay.resent: tell which were sent again
#   CREATE on topic delay.resent: optional: create it; without it somebody else has to
#   WRITE on topic delay.inbox: send them again
#   WRITE on topic delay.level.*: send those again that were on a level
#   DESCRIBE_CONFIGS on topic delay.resent: optional: check that what was sent again is remembered for as long as the letters are there; without it that counts as true
#   WRITE on transactional id delay.resent: send and tell in one transaction
#   DELETE on topic delay.level.*: delete what is pending
#   READ on group delay.purged: tell the forwarders what is deleted
#   DELETE on topic delay.dead: delete dead letters (Kafka has no right for records alone: it is the one to delete the topic too)
#   WRITE on topic delay.control: pause and resume
#   WRITE on topic delay.dead: write the dead letter
#   READ on group delay.skipped: tell the service where to go on
# User:wall: verifier, status-reader
#   DESCRIBE on topic delay.inbox: see that it is there
#   DESCRIBE_CONFIGS on topic delay.inbox: optional: check its settings; without it they count as good, with a note
#   DESCRIBE on topic delay.level.*: see that it is there
#   DESCRIBE_CONFIGS on topic delay.level.*: optional: check its settings; without it they count as good, with a note
#   DESCRIBE on topic delay.parked: see that it is there
#   DESCRIBE_CONFIGS on topic delay.parked: optional: check its settings; without it they count as good, with a note
#   DESCRIBE on topic delay.dead: see that it is there
#   DESCRIBE_CONFIGS on topic delay.dead: optional: check its settings; without it they count as good, with a note
#   DESCRIBE on topic delay.control: see that it is there
#   DESCRIBE_CONFIGS on topic delay.control: optional: check its settings; without it they count as good, with a note
#   DESCRIBE on topic delay.cancel: see that it is there
#   DESCRIBE_CONFIGS on topic delay.cancel: optional: check its settings; without it they count as good, with a note
#   DESCRIBE_CONFIGS on cluster kafka-cluster: optional: know how large a record the brokers take; without it Kafka's default counts
#   READ on topic delay.control: optional: see what is paused; without it nothing can be
#   DESCRIBE on group delay.router: see its commits and members
#   DESCRIBE on group delay.forwarder: see its commits and members
# User:shop: producer, consumer
#   WRITE on topic delay.inbox: send to the inbox
#   WRITE on topic delay.level.*: optional: send straight to a level; without it the inbox is the way
#   READ on topic orders: read what is delivered
#   READ on topic shop.*: read what is delivered
#   READ on group billing: be a member and commit
# User:billing: consumer
#   READ on topic orders: read what is delivered
#   READ on topic shop.*: read what is delivered
#   READ on group billing: be a member and commit
