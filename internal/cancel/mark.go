package cancel

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"github.com/delayd-io/delayd/internal/record"
)

// Name stands for the records that a mark can hit: a hash of 128 bits of their delay-id and
// key, or of their delay-id alone. Nobody can make two ids that have the same.
type Name [16]byte

// NameOf returns the name of the records with an id and a key, which may be empty. A nil
// key is the name of the records with that id, whatever their key.
func NameOf(id, key []byte) Name {
	var room [256]byte
	b := room[:0]
	if key == nil {
		b = append(b, 'i')
	} else {
		b = append(b, 'k')
	}
	b = binary.AppendUvarint(b, uint64(len(id))) // so that an id and a key can't be another id and key
	b = append(append(b, id...), key...)
	sum := sha256.Sum256(b)
	if seeded.collide {
		return Name{sum[0] % 16}
	}
	return Name(sum[:len(Name{})])
}

// Mark says which records may not be delivered: those with its name that the inbox accepted
// before it. See [Mark.Hits].
type Mark struct {
	Name Name
	// AnyKey says that the name is of an id alone.
	AnyKey bool
	// Replaces says that the mark was made by a record that takes the place of the others.
	Replaces bool
	// At is when the inbox accepted the record that asked for the mark, in Unix
	// milliseconds, and Partition and Offset where.
	At        int64
	Partition int32
	Offset    int64
}

// Hits reports whether the mark hits a record that has its name. Of two records in one
// partition of the inbox the offsets say which was accepted first, otherwise the brokers'
// times do. In the same millisecond a cancel hits, and a replacement hits the record of the lower
// partition, so that no two records replace each other. A record whose id nobody else has is hit
// in any case: who knows the id knows that it was accepted.
func (m *Mark) Hits(s *record.Subject) bool {
	switch {
	case s.Place.Known && s.Place.Partition == m.Partition:
		return s.Place.Offset < m.Offset
	case s.Unique:
		return true
	case s.Accepted != m.At:
		return s.Accepted < m.At
	case !m.Replaces:
		return true
	}
	return s.Place.Known && s.Place.Partition < m.Partition
}

// Names reports whether the mark has the name of a record.
func (m *Mark) Names(s *record.Subject) bool {
	if m.AnyKey {
		return m.Name == NameOf(s.ID, nil)
	}
	return s.Key != nil && m.Name == NameOf(s.ID, s.Key)
}

// later reports whether m was asked for after other.
func (m *Mark) later(other *Mark) bool {
	switch {
	case m.Partition == other.Partition:
		return m.Offset > other.Offset
	case m.At != other.At:
		return m.At > other.At
	}
	return m.Partition > other.Partition
}

// The words of a mark's text, which says by its first word what it is.
const (
	wordCancel     = "cancel"
	wordCancelID   = "cancel-id"
	wordReplace    = "replace"
	wordReplacesID = "replace-id"
)

// String is the mark as the cancel topic has it, "cancel HASH AT PARTITION OFFSET".
func (m Mark) String() string {
	word := wordCancel
	switch {
	case m.Replaces && m.AnyKey:
		word = wordReplacesID
	case m.Replaces:
		word = wordReplace
	case m.AnyKey:
		word = wordCancelID
	}
	return fmt.Sprintf("%s %x %d %d %d", word, m.Name[:], m.At, m.Partition, m.Offset)
}

// stallText says that the router cannot go on in a partition of the inbox, "stall PARTITION OFFSET".
func stallText(partition int32, offset int64) string {
	return fmt.Sprintf("%s%d %d", stallPrefix, partition, offset)
}

const stallPrefix = "stall "

// parseStall reads what stallText wrote. ok is false for any other text.
func parseStall(text string) (partition int32, offset int64, ok bool) {
	text, ok = strings.CutPrefix(text, stallPrefix)
	if !ok {
		return 0, 0, false
	}
	number, place, _ := strings.Cut(text, " ")
	n, err := strconv.ParseInt(number, 10, 32)
	if err != nil {
		return 0, 0, false
	}
	offset, err = strconv.ParseInt(place, 10, 64)
	return int32(n), offset, err == nil
}

// Parse reads what String wrote.
func Parse(text string) (m Mark, err error) {
	fields := strings.Split(text, " ")
	if len(fields) != 5 {
		return m, fmt.Errorf("mark %.80q: it has %d words instead of 5", text, len(fields))
	}
	switch fields[0] {
	case wordCancel:
	case wordCancelID:
		m.AnyKey = true
	case wordReplace:
		m.Replaces = true
	case wordReplacesID:
		m.AnyKey, m.Replaces = true, true
	default:
		return m, fmt.Errorf("mark %.80q: %.20q is no kind of mark", text, fields[0])
	}
	if len(fields[1]) != hex.EncodedLen(len(m.Name)) {
		return m, fmt.Errorf("mark %.80q: the hash has not %d digits", text, hex.EncodedLen(len(m.Name)))
	}
	if _, err = hex.Decode(m.Name[:], []byte(fields[1])); err != nil {
		return m, fmt.Errorf("mark %.80q: hash: %w", text, err)
	}
	if m.At, err = strconv.ParseInt(fields[2], 10, 64); err != nil {
		return m, fmt.Errorf("mark %.80q: time: %w", text, err)
	}
	partition, err := strconv.ParseInt(fields[3], 10, 32)
	if err != nil {
		return m, fmt.Errorf("mark %.80q: partition: %w", text, err)
	}
	m.Partition = int32(partition)
	if m.Offset, err = strconv.ParseInt(fields[4], 10, 64); err != nil {
		return m, fmt.Errorf("mark %.80q: offset: %w", text, err)
	}
	return m, nil
}
