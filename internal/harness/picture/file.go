package picture

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// CheckFile reports what would keep a picture from being written to a file, as far
// as that is known before there is anything to write.
func CheckFile(file string) error {
	switch Format(file) {
	case ".svg", ".png":
	default:
		return fmt.Errorf("%q: only SVG and PNG are drawn; end the name with .svg or .png", file)
	}
	info, err := os.Stat(filepath.Dir(file))
	if err != nil {
		return fmt.Errorf("%q: %w; make that directory, or name another", file, err)
	}
	if !info.IsDir() {
		return fmt.Errorf("%q: %s is no directory; name one", file, filepath.Dir(file))
	}
	return nil
}

// Format is the format that a file's ending names, as [Picture.Encode] takes it.
func Format(file string) string { return strings.ToLower(filepath.Ext(file)) }
