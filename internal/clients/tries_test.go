package clients

import (
	"bytes"
	"math/rand/v2"
)

// record is a record as the programs in testdata/clients take and print it.
// Nil is null.
type record struct {
	Topic   string   `json:"topic"`
	Key     []byte   `json:"key"`
	Value   []byte   `json:"value"`
	Headers []header `json:"headers"`
}

type header struct {
	Key   string `json:"key"`
	Value []byte `json:"value"`
}

// try is a kind of record that has to arrive as it was sent.
type try struct {
	name string
	record
}

// compressible is the try that no client sends uncompressed when it is configured
// to compress: librdkafka and others leave as it is what would not get smaller.
const compressible = "100 KB of text"

// largeValue is a size that fits a broker's default limit of 1,048,588 bytes,
// and grows when it is compressed.
const largeValue = 900_000

func tries() []try {
	text := []byte("order-1")
	h := func(kv ...string) (hs []header) {
		for i := 0; i < len(kv); i += 2 {
			hs = append(hs, header{kv[i], []byte(kv[i+1])})
		}
		return hs
	}
	return []try{
		{"null key", record{Value: text}},
		{"empty key", record{Key: []byte{}, Value: text}},
		{"binary key", record{Key: everyByte(), Value: text}},
		{"null value", record{Key: text}},
		{"empty value", record{Key: text, Value: []byte{}}},
		{"binary value", record{Key: text, Value: everyByte()}},
		{"null key and value", record{}},
		{"repeated headers", record{Key: text, Value: text, Headers: h("shop", "Zürich", "shop", "Bern", "shop", "Zürich")}},
		{"empty header value", record{Key: text, Value: text, Headers: h("shop", "")}},
		{"null header value", record{Key: text, Value: text, Headers: []header{{"shop", nil}}}},
		{"binary header value", record{Key: text, Value: text, Headers: []header{{"shop", everyByte()}}}},
		{compressible, record{Key: text, Value: bytes.Repeat([]byte("later, "), 100_000/len("later, "))}},
		{"900 KB value", record{Key: text, Value: noise(largeValue)}},
	}
}

// everyByte is each byte once.
func everyByte() []byte {
	b := make([]byte, 256)
	for i := range b {
		b[i] = byte(i)
	}
	return b
}

// noise is text without a line's end that does not compress below three quarters.
func noise(n int) []byte {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	random := rand.New(rand.NewPCG(1, 2))
	b := make([]byte, n)
	for i := range b {
		b[i] = letters[random.IntN(len(letters))]
	}
	return b
}
