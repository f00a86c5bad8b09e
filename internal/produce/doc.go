// Package produce writes batches of records to partitions, at least once and in
// order.
//
// Guarantee: at most one batch of a partition is in flight. The next one is
// built only after the broker has answered, or after the batch was abandoned, so
// a record can never overtake one of its partition that was refused. Each batch
// carries a producer id and a sequence number, so a retry writes nothing twice.
//
// franz-go's producer can't give that guarantee. When a broker refuses a batch it
// fails everything buffered for the partition and runs the promises later; records
// produced in between overtake those that failed. It also judges sizes before
// compression, and keeps asking for every topic that it ever had. So franz-go
// supplies connections and metadata requests here, and this package the batches.
//
// A record takes this way: a [Feed] says that a partition has something to send
// ([Producer.Ready]); the goroutine of the partition's leader asks the feed for the
// batch ([Feed.Next]), puts the batches of all ready partitions into one request,
// and hands each answer back ([Feed.Answered]). While a request is in flight
// records gather in the feeds, so batches grow with the load without lingering.
package produce
