// Package deadletter lists, counts, sends again and deletes the dead letters of the delay
// service.
//
// [List] and [Summarize] read the whole topic of dead letters, [Pages] shows it page by
// page, the newest first, and [Read] reads one letter with all that it holds. [Resend]
// sends letters again by the way that they came. A [Deletion] deletes the beginning of the
// topic.
//
// Every function takes a client of the cluster and the names of the service's topics. It
// needs no running service. [admin.RoleRecordReader], [admin.RoleResender] and
// [admin.RoleDeadLetterDeleter] are the rights for reading, resending and deletion. A
// resend also creates the topic that records it, [levels.Names.Resent], unless it exists:
// see [admin.CreateResent].
package deadletter
