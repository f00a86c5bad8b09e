package admin

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestPreview(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", PreviewBytes-1)
	for name, tc := range map[string]struct {
		in   []byte
		want *Preview
	}{
		"null":               {nil, nil},
		"empty":              {[]byte{}, &Preview{}},
		"text":               {[]byte("grüß"), &Preview{Text: "grüß", Bytes: 6}},
		"bytes":              {[]byte{0xff, 0}, &Preview{Data: []byte{0xff, 0}, Bytes: 2}},
		"long":               {[]byte(long + "xyz"), &Preview{Text: long + "x", Bytes: PreviewBytes + 2}},
		"cut in a character": {[]byte(long + "ü"), &Preview{Text: long, Bytes: PreviewBytes + 1}},
		"long bytes":         {[]byte("\xff" + long + "x"), &Preview{Data: []byte("\xff" + long), Bytes: PreviewBytes + 1}},
	} {
		if diff := cmp.Diff(tc.want, newPreview(tc.in)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}
