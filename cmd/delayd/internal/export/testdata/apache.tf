# The topics of the delay service with prefix delay and levels 5s 2h, for profile apache.
# message.max.bytes of the brokers is taken to be 1048588.
terraform {
  required_providers {
    kafka = {
      source = "Mongey/kafka"
    }
  }
}

resource "kafka_topic" "delay_inbox" {
  name               = "delay.inbox"
  partitions         = 4
  replication_factor = 3
  config = {
    "cleanup.policy"         = "delete"
    "message.timestamp.type" = "LogAppendTime"
    "min.insync.replicas"    = "2"
    "retention.bytes"        = "-1"
    "retention.ms"           = "-1"
    "segment.bytes"          = "67108864"
    "segment.ms"             = "600000"
  }

  lifecycle {
    prevent_destroy = true
  }
}

resource "kafka_topic" "delay_level_5s" {
  name               = "delay.level.5s"
  partitions         = 4
  replication_factor = 3
  config = {
    "cleanup.policy"         = "delete"
    "max.message.bytes"      = "1114124"
    "message.timestamp.type" = "LogAppendTime"
    "min.insync.replicas"    = "2"
    "retention.bytes"        = "-1"
    "retention.ms"           = "-1"
    "segment.bytes"          = "67108864"
    "segment.ms"             = "600000"
  }

  lifecycle {
    prevent_destroy = true
  }
}

resource "kafka_topic" "delay_level_2h" {
  name               = "delay.level.2h"
  partitions         = 4
  replication_factor = 3
  config = {
    "cleanup.policy"         = "delete"
    "max.message.bytes"      = "1114124"
    "message.timestamp.type" = "LogAppendTime"
    "min.insync.replicas"    = "2"
    "retention.bytes"        = "-1"
    "retention.ms"           = "-1"
    "segment.bytes"          = "67108864"
    "segment.ms"             = "1800000"
  }

  lifecycle {
    prevent_destroy = true
  }
}

resource "kafka_topic" "delay_parked" {
  name               = "delay.parked"
  partitions         = 4
  replication_factor = 3
  config = {
    "cleanup.policy"         = "delete"
    "max.message.bytes"      = "1179660"
    "message.timestamp.type" = "LogAppendTime"
    "min.insync.replicas"    = "2"
    "retention.bytes"        = "-1"
    "retention.ms"           = "-1"
    "segment.bytes"          = "67108864"
    "segment.ms"             = "600000"
  }

  lifecycle {
    prevent_destroy = true
  }
}

resource "kafka_topic" "delay_dead" {
  name               = "delay.dead"
  partitions         = 1
  replication_factor = 3
  config = {
    "cleanup.policy"      = "delete"
    "max.message.bytes"   = "1179660"
    "min.insync.replicas" = "2"
    "retention.bytes"     = "-1"
    "retention.ms"        = "-1"
  }

  lifecycle {
    prevent_destroy = true
  }
}

resource "kafka_topic" "delay_control" {
  name               = "delay.control"
  partitions         = 1
  replication_factor = 3
  config = {
    "cleanup.policy"      = "compact"
    "min.insync.replicas" = "2"
    "retention.bytes"     = "-1"
    "retention.ms"        = "-1"
  }

  lifecycle {
    prevent_destroy = true
  }
}

resource "kafka_topic" "delay_cancel" {
  name               = "delay.cancel"
  partitions         = 4
  replication_factor = 3
  config = {
    "cleanup.policy"         = "delete"
    "message.timestamp.type" = "LogAppendTime"
    "min.insync.replicas"    = "2"
    "retention.bytes"        = "-1"
    "retention.ms"           = "2678400000"
    "segment.bytes"          = "67108864"
    "segment.ms"             = "167400000"
  }

  lifecycle {
    prevent_destroy = true
  }
}

# read what producers send
resource "kafka_acl" "delayd_read_topic_delay_inbox" {
  resource_name                = "delay.inbox"
  resource_type                = "Topic"
  resource_pattern_type_filter = "Literal"
  acl_principal                = "User:delayd"
  acl_host                     = "*"
  acl_operation                = "Read"
  acl_permission_type          = "Allow"
}

# optional: delete what is handled (Kafka has no right for records alone: it is the one to delete the topic too); without it disk use grows, unless the topic has a retention and --purge-after is off
resource "kafka_acl" "delayd_delete_topic_delay_inbox" {
  resource_name                = "delay.inbox"
  resource_type                = "Topic"
  resource_pattern_type_filter = "Literal"
  acl_principal                = "User:delayd"
  acl_host                     = "*"
  acl_operation                = "Delete"
  acl_permission_type          = "Allow"
}

# put records where they wait
resource "kafka_acl" "delayd_write_topic_delay_level" {
  resource_name                = "delay.level."
  resource_type                = "Topic"
  resource_pattern_type_filter = "Prefixed"
  acl_principal                = "User:delayd"
  acl_host                     = "*"
  acl_operation                = "Write"
  acl_permission_type          = "Allow"
}

# be a member and commit
resource "kafka_acl" "delayd_read_group_delay_router" {
  resource_name                = "delay.router"
  resource_type                = "Group"
  resource_pattern_type_filter = "Literal"
  acl_principal                = "User:delayd"
  acl_host                     = "*"
  acl_operation                = "Read"
  acl_permission_type          = "Allow"
}

# optional: pass what an operator has skipped
resource "kafka_acl" "delayd_describe_group_delay_skipped" {
  resource_name                = "delay.skipped"
  resource_type                = "Group"
  resource_pattern_type_filter = "Literal"
  acl_principal                = "User:delayd"
  acl_host                     = "*"
  acl_operation                = "Describe"
  acl_permission_type          = "Allow"
}

# write down what is cancelled; without it cancels wait, and what stands behind them on the inbox
resource "kafka_acl" "delayd_write_topic_delay_cancel" {
  resource_name                = "delay.cancel"
  resource_type                = "Topic"
  resource_pattern_type_filter = "Literal"
  acl_principal                = "User:delayd"
  acl_host                     = "*"
  acl_operation                = "Write"
  acl_permission_type          = "Allow"
}

# count what is cancelled
resource "kafka_acl" "delayd_read_topic_delay_cancel" {
  resource_name                = "delay.cancel"
  resource_type                = "Topic"
  resource_pattern_type_filter = "Literal"
  acl_principal                = "User:delayd"
  acl_host                     = "*"
  acl_operation                = "Read"
  acl_permission_type          = "Allow"
}

# see when what is parked for a target has been delivered
resource "kafka_acl" "delayd_describe_group_delay_forwarder" {
  resource_name                = "delay.forwarder"
  resource_type                = "Group"
  resource_pattern_type_filter = "Literal"
  acl_principal                = "User:delayd"
  acl_host                     = "*"
  acl_operation                = "Describe"
  acl_permission_type          = "Allow"
}

# optional: know how large a record it takes before one is refused; without it that is learned from the refusal
resource "kafka_acl" "delayd_describeconfigs_topic_delay_level" {
  resource_name                = "delay.level."
  resource_type                = "Topic"
  resource_pattern_type_filter = "Prefixed"
  acl_principal                = "User:delayd"
  acl_host                     = "*"
  acl_operation                = "DescribeConfigs"
  acl_permission_type          = "Allow"
}

# optional: see what is paused; without it nothing can be
resource "kafka_acl" "delayd_read_topic_delay_control" {
  resource_name                = "delay.control"
  resource_type                = "Topic"
  resource_pattern_type_filter = "Literal"
  acl_principal                = "User:delayd"
  acl_host                     = "*"
  acl_operation                = "Read"
  acl_permission_type          = "Allow"
}

# see for which targets records are parked, and try them again
resource "kafka_acl" "delayd_read_topic_delay_parked" {
  resource_name                = "delay.parked"
  resource_type                = "Topic"
  resource_pattern_type_filter = "Literal"
  acl_principal                = "User:delayd"
  acl_host                     = "*"
  acl_operation                = "Read"
  acl_permission_type          = "Allow"
}

# park records whose target is unavailable
resource "kafka_acl" "delayd_write_topic_delay_parked" {
  resource_name                = "delay.parked"
  resource_type                = "Topic"
  resource_pattern_type_filter = "Literal"
  acl_principal                = "User:delayd"
  acl_host                     = "*"
  acl_operation                = "Write"
  acl_permission_type          = "Allow"
}

# write dead letters
resource "kafka_acl" "delayd_write_topic_delay_dead" {
  resource_name                = "delay.dead"
  resource_type                = "Topic"
  resource_pattern_type_filter = "Literal"
  acl_principal                = "User:delayd"
  acl_host                     = "*"
  acl_operation                = "Write"
  acl_permission_type          = "Allow"
}

# optional: know how large a record it takes before one is refused; without it that is learned from the refusal
resource "kafka_acl" "delayd_describeconfigs_topic_delay_parked" {
  resource_name                = "delay.parked"
  resource_type                = "Topic"
  resource_pattern_type_filter = "Literal"
  acl_principal                = "User:delayd"
  acl_host                     = "*"
  acl_operation                = "DescribeConfigs"
  acl_permission_type          = "Allow"
}

# optional: know how large a record it takes before one is refused; without it that is learned from the refusal
resource "kafka_acl" "delayd_describeconfigs_topic_delay_dead" {
  resource_name                = "delay.dead"
  resource_type                = "Topic"
  resource_pattern_type_filter = "Literal"
  acl_principal                = "User:delayd"
  acl_host                     = "*"
  acl_operation                = "DescribeConfigs"
  acl_permission_type          = "Allow"
}

# deliver; without it the records for it wait, and then become dead letters
resource "kafka_acl" "delayd_write_topic_orders" {
  resource_name                = "orders"
  resource_type                = "Topic"
  resource_pattern_type_filter = "Literal"
  acl_principal                = "User:delayd"
  acl_host                     = "*"
  acl_operation                = "Write"
  acl_permission_type          = "Allow"
}

# optional: know how large a record it takes before one is refused; without it that is learned from the refusal
resource "kafka_acl" "delayd_describeconfigs_topic_orders" {
  resource_name                = "orders"
  resource_type                = "Topic"
  resource_pattern_type_filter = "Literal"
  acl_principal                = "User:delayd"
  acl_host                     = "*"
  acl_operation                = "DescribeConfigs"
  acl_permission_type          = "Allow"
}

# deliver; without it the records for it wait, and then become dead letters
resource "kafka_acl" "delayd_write_topic_shop" {
  resource_name                = "shop."
  resource_type                = "Topic"
  resource_pattern_type_filter = "Prefixed"
  acl_principal                = "User:delayd"
  acl_host                     = "*"
  acl_operation                = "Write"
  acl_permission_type          = "Allow"
}

# optional: know how large a record it takes before one is refused; without it that is learned from the refusal
resource "kafka_acl" "delayd_describeconfigs_topic_shop" {
  resource_name                = "shop."
  resource_type                = "Topic"
  resource_pattern_type_filter = "Prefixed"
  acl_principal                = "User:delayd"
  acl_host                     = "*"
  acl_operation                = "DescribeConfigs"
  acl_permission_type          = "Allow"
}

# deliver and commit in one transaction
resource "kafka_acl" "delayd_write_transactionalid_delay_router" {
  resource_name                = "delay.router-"
  resource_type                = "TransactionalID"
  resource_pattern_type_filter = "Prefixed"
  acl_principal                = "User:delayd"
  acl_host                     = "*"
  acl_operation                = "Write"
  acl_permission_type          = "Allow"
}

# read what waits
resource "kafka_acl" "delayd_read_topic_delay_level" {
  resource_name                = "delay.level."
  resource_type                = "Topic"
  resource_pattern_type_filter = "Prefixed"
  acl_principal                = "User:delayd"
  acl_host                     = "*"
  acl_operation                = "Read"
  acl_permission_type          = "Allow"
}

# know up to where the router has read cancels; without it records with a delay-id wait
resource "kafka_acl" "delayd_describe_topic_delay_inbox" {
  resource_name                = "delay.inbox"
  resource_type                = "Topic"
  resource_pattern_type_filter = "Literal"
  acl_principal                = "User:delayd"
  acl_host                     = "*"
  acl_operation                = "Describe"
  acl_permission_type          = "Allow"
}

# the same
resource "kafka_acl" "delayd_describe_group_delay_router" {
  resource_name                = "delay.router"
  resource_type                = "Group"
  resource_pattern_type_filter = "Literal"
  acl_principal                = "User:delayd"
  acl_host                     = "*"
  acl_operation                = "Describe"
  acl_permission_type          = "Allow"
}

# optional: delete what is handled (Kafka has no right for records alone: it is the one to delete the topic too); without it disk use grows, unless the topic has a retention and --purge-after is off
resource "kafka_acl" "delayd_delete_topic_delay_level" {
  resource_name                = "delay.level."
  resource_type                = "Topic"
  resource_pattern_type_filter = "Prefixed"
  acl_principal                = "User:delayd"
  acl_host                     = "*"
  acl_operation                = "Delete"
  acl_permission_type          = "Allow"
}

# optional: delete what is handled (Kafka has no right for records alone: it is the one to delete the topic too); without it disk use grows, unless the topic has a retention and --purge-after is off
resource "kafka_acl" "delayd_delete_topic_delay_parked" {
  resource_name                = "delay.parked"
  resource_type                = "Topic"
  resource_pattern_type_filter = "Literal"
  acl_principal                = "User:delayd"
  acl_host                     = "*"
  acl_operation                = "Delete"
  acl_permission_type          = "Allow"
}

# be a member and commit
resource "kafka_acl" "delayd_read_group_delay_forwarder" {
  resource_name                = "delay.forwarder"
  resource_type                = "Group"
  resource_pattern_type_filter = "Literal"
  acl_principal                = "User:delayd"
  acl_host                     = "*"
  acl_operation                = "Read"
  acl_permission_type          = "Allow"
}

# optional: tell what an operator has deleted from a loss
resource "kafka_acl" "delayd_describe_group_delay_purged" {
  resource_name                = "delay.purged"
  resource_type                = "Group"
  resource_pattern_type_filter = "Literal"
  acl_principal                = "User:delayd"
  acl_host                     = "*"
  acl_operation                = "Describe"
  acl_permission_type          = "Allow"
}

# deliver and commit in one transaction
resource "kafka_acl" "delayd_write_transactionalid_delay_forwarder" {
  resource_name                = "delay.forwarder-"
  resource_type                = "TransactionalID"
  resource_pattern_type_filter = "Prefixed"
  acl_principal                = "User:delayd"
  acl_host                     = "*"
  acl_operation                = "Write"
  acl_permission_type          = "Allow"
}

# optional: check its settings; without it they count as good, with a note
resource "kafka_acl" "delayd_describeconfigs_topic_delay_inbox" {
  resource_name                = "delay.inbox"
  resource_type                = "Topic"
  resource_pattern_type_filter = "Literal"
  acl_principal                = "User:delayd"
  acl_host                     = "*"
  acl_operation                = "DescribeConfigs"
  acl_permission_type          = "Allow"
}

# see that it is there
resource "kafka_acl" "delayd_describe_topic_delay_level" {
  resource_name                = "delay.level."
  resource_type                = "Topic"
  resource_pattern_type_filter = "Prefixed"
  acl_principal                = "User:delayd"
  acl_host                     = "*"
  acl_operation                = "Describe"
  acl_permission_type          = "Allow"
}

# see that it is there
resource "kafka_acl" "delayd_describe_topic_delay_parked" {
  resource_name                = "delay.parked"
  resource_type                = "Topic"
  resource_pattern_type_filter = "Literal"
  acl_principal                = "User:delayd"
  acl_host                     = "*"
  acl_operation                = "Describe"
  acl_permission_type          = "Allow"
}

# see that it is there
resource "kafka_acl" "delayd_describe_topic_delay_dead" {
  resource_name                = "delay.dead"
  resource_type                = "Topic"
  resource_pattern_type_filter = "Literal"
  acl_principal                = "User:delayd"
  acl_host                     = "*"
  acl_operation                = "Describe"
  acl_permission_type          = "Allow"
}

# see that it is there
resource "kafka_acl" "delayd_describe_topic_delay_control" {
  resource_name                = "delay.control"
  resource_type                = "Topic"
  resource_pattern_type_filter = "Literal"
  acl_principal                = "User:delayd"
  acl_host                     = "*"
  acl_operation                = "Describe"
  acl_permission_type          = "Allow"
}

# optional: check its settings; without it they count as good, with a note
resource "kafka_acl" "delayd_describeconfigs_topic_delay_control" {
  resource_name                = "delay.control"
  resource_type                = "Topic"
  resource_pattern_type_filter = "Literal"
  acl_principal                = "User:delayd"
  acl_host                     = "*"
  acl_operation                = "DescribeConfigs"
  acl_permission_type          = "Allow"
}

# see that it is there
resource "kafka_acl" "delayd_describe_topic_delay_cancel" {
  resource_name                = "delay.cancel"
  resource_type                = "Topic"
  resource_pattern_type_filter = "Literal"
  acl_principal                = "User:delayd"
  acl_host                     = "*"
  acl_operation                = "Describe"
  acl_permission_type          = "Allow"
}

# optional: check its settings; without it they count as good, with a note
resource "kafka_acl" "delayd_describeconfigs_topic_delay_cancel" {
  resource_name                = "delay.cancel"
  resource_type                = "Topic"
  resource_pattern_type_filter = "Literal"
  acl_principal                = "User:delayd"
  acl_host                     = "*"
  acl_operation                = "DescribeConfigs"
  acl_permission_type          = "Allow"
}

# optional: know how large a record the brokers take; without it Kafka's default counts
resource "kafka_acl" "delayd_describeconfigs_cluster_kafka_cluster" {
  resource_name                = "kafka-cluster"
  resource_type                = "Cluster"
  resource_pattern_type_filter = "Literal"
  acl_principal                = "User:delayd"
  acl_host                     = "*"
  acl_operation                = "DescribeConfigs"
  acl_permission_type          = "Allow"
}

# optional: let delayd admin know the service's levels; without it, it needs --levels
resource "kafka_acl" "delayd_write_topic_delay_control" {
  resource_name                = "delay.control"
  resource_type                = "Topic"
  resource_pattern_type_filter = "Literal"
  acl_principal                = "User:delayd"
  acl_host                     = "*"
  acl_operation                = "Write"
  acl_permission_type          = "Allow"
}

# create it
resource "kafka_acl" "delayd_admin_create_topic_delay_inbox" {
  resource_name                = "delay.inbox"
  resource_type                = "Topic"
  resource_pattern_type_filter = "Literal"
  acl_principal                = "User:delayd-admin"
  acl_host                     = "*"
  acl_operation                = "Create"
  acl_permission_type          = "Allow"
}

# create it
resource "kafka_acl" "delayd_admin_create_topic_delay_level" {
  resource_name                = "delay.level."
  resource_type                = "Topic"
  resource_pattern_type_filter = "Prefixed"
  acl_principal                = "User:delayd-admin"
  acl_host                     = "*"
  acl_operation                = "Create"
  acl_permission_type          = "Allow"
}

# create it
resource "kafka_acl" "delayd_admin_create_topic_delay_parked" {
  resource_name                = "delay.parked"
  resource_type                = "Topic"
  resource_pattern_type_filter = "Literal"
  acl_principal                = "User:delayd-admin"
  acl_host                     = "*"
  acl_operation                = "Create"
  acl_permission_type          = "Allow"
}

# create it
resource "kafka_acl" "delayd_admin_create_topic_delay_dead" {
  resource_name                = "delay.dead"
  resource_type                = "Topic"
  resource_pattern_type_filter = "Literal"
  acl_principal                = "User:delayd-admin"
  acl_host                     = "*"
  acl_operation                = "Create"
  acl_permission_type          = "Allow"
}

# create it
resource "kafka_acl" "delayd_admin_create_topic_delay_control" {
  resource_name                = "delay.control"
  resource_type                = "Topic"
  resource_pattern_type_filter = "Literal"
  acl_principal                = "User:delayd-admin"
  acl_host                     = "*"
  acl_operation                = "Create"
  acl_permission_type          = "Allow"
}

# create it
resource "kafka_acl" "delayd_admin_create_topic_delay_cancel" {
  resource_name                = "delay.cancel"
  resource_type                = "Topic"
  resource_pattern_type_filter = "Literal"
  acl_principal                = "User:delayd-admin"
  acl_host                     = "*"
  acl_operation                = "Create"
  acl_permission_type          = "Allow"
}

# see that it is there
resource "kafka_acl" "delayd_admin_describe_topic_delay_inbox" {
  resource_name                = "delay.inbox"
  resource_type                = "Topic"
  resource_pattern_type_filter = "Literal"
  acl_principal                = "User:delayd-admin"
  acl_host                     = "*"
  acl_operation                = "Describe"
  acl_permission_type          = "Allow"
}

# optional: check its settings; without it they count as good, with a note
resource "kafka_acl" "delayd_admin_describeconfigs_topic_delay_inbox" {
  resource_name                = "delay.inbox"
  resource_type                = "Topic"
  resource_pattern_type_filter = "Literal"
  acl_principal                = "User:delayd-admin"
  acl_host                     = "*"
  acl_operation                = "DescribeConfigs"
  acl_permission_type          = "Allow"
}

# see that it is there
resource "kafka_acl" "delayd_admin_describe_topic_delay_level" {
  resource_name                = "delay.level."
  resource_type                = "Topic"
  resource_pattern_type_filter = "Prefixed"
  acl_principal                = "User:delayd-admin"
  acl_host                     = "*"
  acl_operation                = "Describe"
  acl_permission_type          = "Allow"
}

# optional: check its settings; without it they count as good, with a note
resource "kafka_acl" "delayd_admin_describeconfigs_topic_delay_level" {
  resource_name                = "delay.level."
  resource_type                = "Topic"
  resource_pattern_type_filter = "Prefixed"
  acl_principal                = "User:delayd-admin"
  acl_host                     = "*"
  acl_operation                = "DescribeConfigs"
  acl_permission_type          = "Allow"
}

# see that it is there
resource "kafka_acl" "delayd_admin_describe_topic_delay_parked" {
  resource_name                = "delay.parked"
  resource_type                = "Topic"
  resource_pattern_type_filter = "Literal"
  acl_principal                = "User:delayd-admin"
  acl_host                     = "*"
  acl_operation                = "Describe"
  acl_permission_type          = "Allow"
}

# optional: check its settings; without it they count as good, with a note
resource "kafka_acl" "delayd_admin_describeconfigs_topic_delay_parked" {
  resource_name                = "delay.parked"
  resource_type                = "Topic"
  resource_pattern_type_filter = "Literal"
  acl_principal                = "User:delayd-admin"
  acl_host                     = "*"
  acl_operation                = "DescribeConfigs"
  acl_permission_type          = "Allow"
}

# see that it is there
resource "kafka_acl" "delayd_admin_describe_topic_delay_dead" {
  resource_name                = "delay.dead"
  resource_type                = "Topic"
  resource_pattern_type_filter = "Literal"
  acl_principal                = "User:delayd-admin"
  acl_host                     = "*"
  acl_operation                = "Describe"
  acl_permission_type          = "Allow"
}

# optional: check its settings; without it they count as good, with a note
resource "kafka_acl" "delayd_admin_describeconfigs_topic_delay_dead" {
  resource_name                = "delay.dead"
  resource_type                = "Topic"
  resource_pattern_type_filter = "Literal"
  acl_principal                = "User:delayd-admin"
  acl_host                     = "*"
  acl_operation                = "DescribeConfigs"
  acl_permission_type          = "Allow"
}

# see that it is there
resource "kafka_acl" "delayd_admin_describe_topic_delay_control" {
  resource_name                = "delay.control"
  resource_type                = "Topic"
  resource_pattern_type_filter = "Literal"
  acl_principal                = "User:delayd-admin"
  acl_host                     = "*"
  acl_operation                = "Describe"
  acl_permission_type          = "Allow"
}

# optional: check its settings; without it they count as good, with a note
resource "kafka_acl" "delayd_admin_describeconfigs_topic_delay_control" {
  resource_name                = "delay.control"
  resource_type                = "Topic"
  resource_pattern_type_filter = "Literal"
  acl_principal                = "User:delayd-admin"
  acl_host                     = "*"
  acl_operation                = "DescribeConfigs"
  acl_permission_type          = "Allow"
}

# see that it is there
resource "kafka_acl" "delayd_admin_describe_topic_delay_cancel" {
  resource_name                = "delay.cancel"
  resource_type                = "Topic"
  resource_pattern_type_filter = "Literal"
  acl_principal                = "User:delayd-admin"
  acl_host                     = "*"
  acl_operation                = "Describe"
  acl_permission_type          = "Allow"
}

# optional: check its settings; without it they count as good, with a note
resource "kafka_acl" "delayd_admin_describeconfigs_topic_delay_cancel" {
  resource_name                = "delay.cancel"
  resource_type                = "Topic"
  resource_pattern_type_filter = "Literal"
  acl_principal                = "User:delayd-admin"
  acl_host                     = "*"
  acl_operation                = "DescribeConfigs"
  acl_permission_type          = "Allow"
}

# optional: know how large a record the brokers take; without it Kafka's default counts
resource "kafka_acl" "delayd_admin_describeconfigs_cluster_kafka_cluster" {
  resource_name                = "kafka-cluster"
  resource_type                = "Cluster"
  resource_pattern_type_filter = "Literal"
  acl_principal                = "User:delayd-admin"
  acl_host                     = "*"
  acl_operation                = "DescribeConfigs"
  acl_permission_type          = "Allow"
}

# fix its settings
resource "kafka_acl" "delayd_admin_alterconfigs_topic_delay_inbox" {
  resource_name                = "delay.inbox"
  resource_type                = "Topic"
  resource_pattern_type_filter = "Literal"
  acl_principal                = "User:delayd-admin"
  acl_host                     = "*"
  acl_operation                = "AlterConfigs"
  acl_permission_type          = "Allow"
}

# fix its settings
resource "kafka_acl" "delayd_admin_alterconfigs_topic_delay_level" {
  resource_name                = "delay.level."
  resource_type                = "Topic"
  resource_pattern_type_filter = "Prefixed"
  acl_principal                = "User:delayd-admin"
  acl_host                     = "*"
  acl_operation                = "AlterConfigs"
  acl_permission_type          = "Allow"
}

# fix its settings
resource "kafka_acl" "delayd_admin_alterconfigs_topic_delay_parked" {
  resource_name                = "delay.parked"
  resource_type                = "Topic"
  resource_pattern_type_filter = "Literal"
  acl_principal                = "User:delayd-admin"
  acl_host                     = "*"
  acl_operation                = "AlterConfigs"
  acl_permission_type          = "Allow"
}

# fix its settings
resource "kafka_acl" "delayd_admin_alterconfigs_topic_delay_dead" {
  resource_name                = "delay.dead"
  resource_type                = "Topic"
  resource_pattern_type_filter = "Literal"
  acl_principal                = "User:delayd-admin"
  acl_host                     = "*"
  acl_operation                = "AlterConfigs"
  acl_permission_type          = "Allow"
}

# fix its settings
resource "kafka_acl" "delayd_admin_alterconfigs_topic_delay_control" {
  resource_name                = "delay.control"
  resource_type                = "Topic"
  resource_pattern_type_filter = "Literal"
  acl_principal                = "User:delayd-admin"
  acl_host                     = "*"
  acl_operation                = "AlterConfigs"
  acl_permission_type          = "Allow"
}

# fix its settings
resource "kafka_acl" "delayd_admin_alterconfigs_topic_delay_cancel" {
  resource_name                = "delay.cancel"
  resource_type                = "Topic"
  resource_pattern_type_filter = "Literal"
  acl_principal                = "User:delayd-admin"
  acl_host                     = "*"
  acl_operation                = "AlterConfigs"
  acl_permission_type          = "Allow"
}

# see what is paused; without it nothing can be
resource "kafka_acl" "delayd_admin_read_topic_delay_control" {
  resource_name                = "delay.control"
  resource_type                = "Topic"
  resource_pattern_type_filter = "Literal"
  acl_principal                = "User:delayd-admin"
  acl_host                     = "*"
  acl_operation                = "Read"
  acl_permission_type          = "Allow"
}

# see its commits and members
resource "kafka_acl" "delayd_admin_describe_group_delay_router" {
  resource_name                = "delay.router"
  resource_type                = "Group"
  resource_pattern_type_filter = "Literal"
  acl_principal                = "User:delayd-admin"
  acl_host                     = "*"
  acl_operation                = "Describe"
  acl_permission_type          = "Allow"
}

# see its commits and members
resource "kafka_acl" "delayd_admin_describe_group_delay_forwarder" {
  resource_name                = "delay.forwarder"
  resource_type                = "Group"
  resource_pattern_type_filter = "Literal"
  acl_principal                = "User:delayd-admin"
  acl_host                     = "*"
  acl_operation                = "Describe"
  acl_permission_type          = "Allow"
}

# read the dead letters
resource "kafka_acl" "delayd_admin_read_topic_delay_dead" {
  resource_name                = "delay.dead"
  resource_type                = "Topic"
  resource_pattern_type_filter = "Literal"
  acl_principal                = "User:delayd-admin"
  acl_host                     = "*"
  acl_operation                = "Read"
  acl_permission_type          = "Allow"
}

# know which were sent again
resource "kafka_acl" "delayd_admin_read_topic_delay_resent" {
  resource_name                = "delay.resent"
  resource_type                = "Topic"
  resource_pattern_type_filter = "Literal"
  acl_principal                = "User:delayd-admin"
  acl_host                     = "*"
  acl_operation                = "Read"
  acl_permission_type          = "Allow"
}

# read what is parked
resource "kafka_acl" "delayd_admin_read_topic_delay_parked" {
  resource_name                = "delay.parked"
  resource_type                = "Topic"
  resource_pattern_type_filter = "Literal"
  acl_principal                = "User:delayd-admin"
  acl_host                     = "*"
  acl_operation                = "Read"
  acl_permission_type          = "Allow"
}

# read what is pending
resource "kafka_acl" "delayd_admin_read_topic_delay_level" {
  resource_name                = "delay.level."
  resource_type                = "Topic"
  resource_pattern_type_filter = "Prefixed"
  acl_principal                = "User:delayd-admin"
  acl_host                     = "*"
  acl_operation                = "Read"
  acl_permission_type          = "Allow"
}

# find a record that is not routed yet
resource "kafka_acl" "delayd_admin_read_topic_delay_inbox" {
  resource_name                = "delay.inbox"
  resource_type                = "Topic"
  resource_pattern_type_filter = "Literal"
  acl_principal                = "User:delayd-admin"
  acl_host                     = "*"
  acl_operation                = "Read"
  acl_permission_type          = "Allow"
}

# tell which were sent again
resource "kafka_acl" "delayd_admin_write_topic_delay_resent" {
  resource_name                = "delay.resent"
  resource_type                = "Topic"
  resource_pattern_type_filter = "Literal"
  acl_principal                = "User:delayd-admin"
  acl_host                     = "*"
  acl_operation                = "Write"
  acl_permission_type          = "Allow"
}

# optional: create it; without it somebody else has to
resource "kafka_acl" "delayd_admin_create_topic_delay_resent" {
  resource_name                = "delay.resent"
  resource_type                = "Topic"
  resource_pattern_type_filter = "Literal"
  acl_principal                = "User:delayd-admin"
  acl_host                     = "*"
  acl_operation                = "Create"
  acl_permission_type          = "Allow"
}

# send them again
resource "kafka_acl" "delayd_admin_write_topic_delay_inbox" {
  resource_name                = "delay.inbox"
  resource_type                = "Topic"
  resource_pattern_type_filter = "Literal"
  acl_principal                = "User:delayd-admin"
  acl_host                     = "*"
  acl_operation                = "Write"
  acl_permission_type          = "Allow"
}

# send those again that were on a level
resource "kafka_acl" "delayd_admin_write_topic_delay_level" {
  resource_name                = "delay.level."
  resource_type                = "Topic"
  resource_pattern_type_filter = "Prefixed"
  acl_principal                = "User:delayd-admin"
  acl_host                     = "*"
  acl_operation                = "Write"
  acl_permission_type          = "Allow"
}

# optional: check that what was sent again is remembered for as long as the letters are there; without it that counts as true
resource "kafka_acl" "delayd_admin_describeconfigs_topic_delay_resent" {
  resource_name                = "delay.resent"
  resource_type                = "Topic"
  resource_pattern_type_filter = "Literal"
  acl_principal                = "User:delayd-admin"
  acl_host                     = "*"
  acl_operation                = "DescribeConfigs"
  acl_permission_type          = "Allow"
}

# send and tell in one transaction
resource "kafka_acl" "delayd_admin_write_transactionalid_delay_resent" {
  resource_name                = "delay.resent"
  resource_type                = "TransactionalID"
  resource_pattern_type_filter = "Literal"
  acl_principal                = "User:delayd-admin"
  acl_host                     = "*"
  acl_operation                = "Write"
  acl_permission_type          = "Allow"
}

# delete what is pending
resource "kafka_acl" "delayd_admin_delete_topic_delay_level" {
  resource_name                = "delay.level."
  resource_type                = "Topic"
  resource_pattern_type_filter = "Prefixed"
  acl_principal                = "User:delayd-admin"
  acl_host                     = "*"
  acl_operation                = "Delete"
  acl_permission_type          = "Allow"
}

# tell the forwarders what is deleted
resource "kafka_acl" "delayd_admin_read_group_delay_purged" {
  resource_name                = "delay.purged"
  resource_type                = "Group"
  resource_pattern_type_filter = "Literal"
  acl_principal                = "User:delayd-admin"
  acl_host                     = "*"
  acl_operation                = "Read"
  acl_permission_type          = "Allow"
}

# delete dead letters (Kafka has no right for records alone: it is the one to delete the topic too)
resource "kafka_acl" "delayd_admin_delete_topic_delay_dead" {
  resource_name                = "delay.dead"
  resource_type                = "Topic"
  resource_pattern_type_filter = "Literal"
  acl_principal                = "User:delayd-admin"
  acl_host                     = "*"
  acl_operation                = "Delete"
  acl_permission_type          = "Allow"
}

# pause and resume
resource "kafka_acl" "delayd_admin_write_topic_delay_control" {
  resource_name                = "delay.control"
  resource_type                = "Topic"
  resource_pattern_type_filter = "Literal"
  acl_principal                = "User:delayd-admin"
  acl_host                     = "*"
  acl_operation                = "Write"
  acl_permission_type          = "Allow"
}

# write the dead letter
resource "kafka_acl" "delayd_admin_write_topic_delay_dead" {
  resource_name                = "delay.dead"
  resource_type                = "Topic"
  resource_pattern_type_filter = "Literal"
  acl_principal                = "User:delayd-admin"
  acl_host                     = "*"
  acl_operation                = "Write"
  acl_permission_type          = "Allow"
}

# tell the service where to go on
resource "kafka_acl" "delayd_admin_read_group_delay_skipped" {
  resource_name                = "delay.skipped"
  resource_type                = "Group"
  resource_pattern_type_filter = "Literal"
  acl_principal                = "User:delayd-admin"
  acl_host                     = "*"
  acl_operation                = "Read"
  acl_permission_type          = "Allow"
}

# see that it is there
resource "kafka_acl" "wall_describe_topic_delay_inbox" {
  resource_name                = "delay.inbox"
  resource_type                = "Topic"
  resource_pattern_type_filter = "Literal"
  acl_principal                = "User:wall"
  acl_host                     = "*"
  acl_operation                = "Describe"
  acl_permission_type          = "Allow"
}

# optional: check its settings; without it they count as good, with a note
resource "kafka_acl" "wall_describeconfigs_topic_delay_inbox" {
  resource_name                = "delay.inbox"
  resource_type                = "Topic"
  resource_pattern_type_filter = "Literal"
  acl_principal                = "User:wall"
  acl_host                     = "*"
  acl_operation                = "DescribeConfigs"
  acl_permission_type          = "Allow"
}

# see that it is there
resource "kafka_acl" "wall_describe_topic_delay_level" {
  resource_name                = "delay.level."
  resource_type                = "Topic"
  resource_pattern_type_filter = "Prefixed"
  acl_principal                = "User:wall"
  acl_host                     = "*"
  acl_operation                = "Describe"
  acl_permission_type          = "Allow"
}

# optional: check its settings; without it they count as good, with a note
resource "kafka_acl" "wall_describeconfigs_topic_delay_level" {
  resource_name                = "delay.level."
  resource_type                = "Topic"
  resource_pattern_type_filter = "Prefixed"
  acl_principal                = "User:wall"
  acl_host                     = "*"
  acl_operation                = "DescribeConfigs"
  acl_permission_type          = "Allow"
}

# see that it is there
resource "kafka_acl" "wall_describe_topic_delay_parked" {
  resource_name                = "delay.parked"
  resource_type                = "Topic"
  resource_pattern_type_filter = "Literal"
  acl_principal                = "User:wall"
  acl_host                     = "*"
  acl_operation                = "Describe"
  acl_permission_type          = "Allow"
}

# optional: check its settings; without it they count as good, with a note
resource "kafka_acl" "wall_describeconfigs_topic_delay_parked" {
  resource_name                = "delay.parked"
  resource_type                = "Topic"
  resource_pattern_type_filter = "Literal"
  acl_principal                = "User:wall"
  acl_host                     = "*"
  acl_operation                = "DescribeConfigs"
  acl_permission_type          = "Allow"
}

# see that it is there
resource "kafka_acl" "wall_describe_topic_delay_dead" {
  resource_name                = "delay.dead"
  resource_type                = "Topic"
  resource_pattern_type_filter = "Literal"
  acl_principal                = "User:wall"
  acl_host                     = "*"
  acl_operation                = "Describe"
  acl_permission_type          = "Allow"
}

# optional: check its settings; without it they count as good, with a note
resource "kafka_acl" "wall_describeconfigs_topic_delay_dead" {
  resource_name                = "delay.dead"
  resource_type                = "Topic"
  resource_pattern_type_filter = "Literal"
  acl_principal                = "User:wall"
  acl_host                     = "*"
  acl_operation                = "DescribeConfigs"
  acl_permission_type          = "Allow"
}

# see that it is there
resource "kafka_acl" "wall_describe_topic_delay_control" {
  resource_name                = "delay.control"
  resource_type                = "Topic"
  resource_pattern_type_filter = "Literal"
  acl_principal                = "User:wall"
  acl_host                     = "*"
  acl_operation                = "Describe"
  acl_permission_type          = "Allow"
}

# optional: check its settings; without it they count as good, with a note
resource "kafka_acl" "wall_describeconfigs_topic_delay_control" {
  resource_name                = "delay.control"
  resource_type                = "Topic"
  resource_pattern_type_filter = "Literal"
  acl_principal                = "User:wall"
  acl_host                     = "*"
  acl_operation                = "DescribeConfigs"
  acl_permission_type          = "Allow"
}

# see that it is there
resource "kafka_acl" "wall_describe_topic_delay_cancel" {
  resource_name                = "delay.cancel"
  resource_type                = "Topic"
  resource_pattern_type_filter = "Literal"
  acl_principal                = "User:wall"
  acl_host                     = "*"
  acl_operation                = "Describe"
  acl_permission_type          = "Allow"
}

# optional: check its settings; without it they count as good, with a note
resource "kafka_acl" "wall_describeconfigs_topic_delay_cancel" {
  resource_name                = "delay.cancel"
  resource_type                = "Topic"
  resource_pattern_type_filter = "Literal"
  acl_principal                = "User:wall"
  acl_host                     = "*"
  acl_operation                = "DescribeConfigs"
  acl_permission_type          = "Allow"
}

# optional: know how large a record the brokers take; without it Kafka's default counts
resource "kafka_acl" "wall_describeconfigs_cluster_kafka_cluster" {
  resource_name                = "kafka-cluster"
  resource_type                = "Cluster"
  resource_pattern_type_filter = "Literal"
  acl_principal                = "User:wall"
  acl_host                     = "*"
  acl_operation                = "DescribeConfigs"
  acl_permission_type          = "Allow"
}

# optional: see what is paused; without it nothing can be
resource "kafka_acl" "wall_read_topic_delay_control" {
  resource_name                = "delay.control"
  resource_type                = "Topic"
  resource_pattern_type_filter = "Literal"
  acl_principal                = "User:wall"
  acl_host                     = "*"
  acl_operation                = "Read"
  acl_permission_type          = "Allow"
}

# see its commits and members
resource "kafka_acl" "wall_describe_group_delay_router" {
  resource_name                = "delay.router"
  resource_type                = "Group"
  resource_pattern_type_filter = "Literal"
  acl_principal                = "User:wall"
  acl_host                     = "*"
  acl_operation                = "Describe"
  acl_permission_type          = "Allow"
}

# see its commits and members
resource "kafka_acl" "wall_describe_group_delay_forwarder" {
  resource_name                = "delay.forwarder"
  resource_type                = "Group"
  resource_pattern_type_filter = "Literal"
  acl_principal                = "User:wall"
  acl_host                     = "*"
  acl_operation                = "Describe"
  acl_permission_type          = "Allow"
}

# send to the inbox
resource "kafka_acl" "shop_write_topic_delay_inbox" {
  resource_name                = "delay.inbox"
  resource_type                = "Topic"
  resource_pattern_type_filter = "Literal"
  acl_principal                = "User:shop"
  acl_host                     = "*"
  acl_operation                = "Write"
  acl_permission_type          = "Allow"
}

# optional: send straight to a level; without it the inbox is the way
resource "kafka_acl" "shop_write_topic_delay_level" {
  resource_name                = "delay.level."
  resource_type                = "Topic"
  resource_pattern_type_filter = "Prefixed"
  acl_principal                = "User:shop"
  acl_host                     = "*"
  acl_operation                = "Write"
  acl_permission_type          = "Allow"
}

# read what is delivered
resource "kafka_acl" "shop_read_topic_orders" {
  resource_name                = "orders"
  resource_type                = "Topic"
  resource_pattern_type_filter = "Literal"
  acl_principal                = "User:shop"
  acl_host                     = "*"
  acl_operation                = "Read"
  acl_permission_type          = "Allow"
}

# read what is delivered
resource "kafka_acl" "shop_read_topic_shop" {
  resource_name                = "shop."
  resource_type                = "Topic"
  resource_pattern_type_filter = "Prefixed"
  acl_principal                = "User:shop"
  acl_host                     = "*"
  acl_operation                = "Read"
  acl_permission_type          = "Allow"
}

# be a member and commit
resource "kafka_acl" "shop_read_group_billing" {
  resource_name                = "billing"
  resource_type                = "Group"
  resource_pattern_type_filter = "Literal"
  acl_principal                = "User:shop"
  acl_host                     = "*"
  acl_operation                = "Read"
  acl_permission_type          = "Allow"
}

# read what is delivered
resource "kafka_acl" "billing_read_topic_orders" {
  resource_name                = "orders"
  resource_type                = "Topic"
  resource_pattern_type_filter = "Literal"
  acl_principal                = "User:billing"
  acl_host                     = "*"
  acl_operation                = "Read"
  acl_permission_type          = "Allow"
}

# read what is delivered
resource "kafka_acl" "billing_read_topic_shop" {
  resource_name                = "shop."
  resource_type                = "Topic"
  resource_pattern_type_filter = "Prefixed"
  acl_principal                = "User:billing"
  acl_host                     = "*"
  acl_operation                = "Read"
  acl_permission_type          = "Allow"
}

# be a member and commit
resource "kafka_acl" "billing_read_group_billing" {
  resource_name                = "billing"
  resource_type                = "Group"
  resource_pattern_type_filter = "Literal"
  acl_principal                = "User:billing"
  acl_host                     = "*"
  acl_operation                = "Read"
  acl_permission_type          = "Allow"
}
