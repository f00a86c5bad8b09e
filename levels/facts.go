package levels

// ByKey as a partition leaves the choice to Kafka's own key partitioner.
const ByKey int32 = -1

// Facts are what is known of a record on its way to its target.
type Facts struct {
	// Topic is the target, Partition the partition of it that was asked for,
	// or ByKey.
	Topic     string
	Partition int32
	// ID names the place where the record was first accepted. It is the delivered
	// record's id unless the producer set one. Empty: that was where it was read just
	// now, and the id is made when it is needed.
	ID string
	// Due and Accepted are in Unix milliseconds, by the broker's clock.
	Due, Accepted int64
	// Granted is the name of the level that the record was given, "0s" for none.
	// It is also a label of metrics.
	Granted string
	// Origin is where a dead letter says that the record was read:
	// topic/partition/offset. Empty: where it was read just now.
	Origin string
	// Since is when delivery first failed, in Unix milliseconds; of a parked record only.
	Since int64
}
