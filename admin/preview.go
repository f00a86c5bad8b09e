package admin

import (
	"unicode/utf8"

	"github.com/twmb/franz-go/pkg/kgo"
)

// PreviewBytes is how much of a key, a value or a header is shown in lists, in bytes.
const PreviewBytes = 200

// Preview is the beginning of a key, a value or a header, and how long it is. A nil
// one is null.
type Preview struct {
	// Text is the beginning, where that is text (UTF-8); otherwise Data is.
	Text string `json:"text,omitempty"`
	Data []byte `json:"base64,omitempty"`
	// Bytes is the length of the whole.
	Bytes int `json:"bytes"`
}

// Header is a header of a record that is shown.
type Header struct {
	Key   string   `json:"key"`
	Value *Preview `json:"value"`
}

// NewPreview returns a preview of at most "most" bytes.
func NewPreview(b []byte, most int) *Preview { return cutPreview(b, most) }

// NewHeaders returns headers with previews of at most "most" bytes.
func NewHeaders(h []kgo.RecordHeader, most int) []Header {
	list := make([]Header, len(h))
	for i := range h {
		list[i] = Header{h[i].Key, cutPreview(h[i].Value, most)}
	}
	return list
}

func newPreview(b []byte) *Preview { return cutPreview(b, PreviewBytes) }

// cutPreview returns a preview of at most "most" bytes.
func cutPreview(b []byte, most int) *Preview {
	if b == nil {
		return nil
	}
	p := &Preview{Bytes: len(b)}
	cut := b
	if len(cut) > most {
		cut = cut[:most]
		// Up to the end of a character, if that is what it was cut in.
		for i := 1; i < utf8.UTFMax && i < most && !utf8.Valid(cut); i++ {
			cut = b[:most-i]
		}
		if !utf8.Valid(cut) {
			cut = b[:most]
		}
	}
	if utf8.Valid(cut) {
		p.Text = string(cut)
	} else {
		p.Data = append([]byte(nil), cut...) // without the record that it is part of
	}
	return p
}

func newHeaders(h []kgo.RecordHeader) []Header { return NewHeaders(h, PreviewBytes) }
