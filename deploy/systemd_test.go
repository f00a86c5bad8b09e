package deploy

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// exposureLimit is the worst that "systemd-analyze security" may say of the unit, in
// tenths; 100 is a service that may do anything.
const exposureLimit = "20"

func TestUnit(t *testing.T) {
	text, err := os.ReadFile("systemd/delayd.service")
	if err != nil {
		t.Fatal(err)
	}
	// The program has to be there, and delayd is not.
	const program = "ExecStart=/usr/local/bin/delayd "
	if !strings.Contains(string(text), program) {
		t.Fatalf("the unit has no %s", program)
	}
	unit := filepath.Join(t.TempDir(), "delayd.service")
	if err := os.WriteFile(unit, []byte(strings.Replace(string(text), program, "ExecStart=/bin/true ", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	// An unknown setting is a warning to systemd, which then starts the service without it.
	out, err := exec.CommandContext(t.Context(), "systemd-analyze", "verify", "--man=no", unit).CombinedOutput()
	if err != nil || len(out) > 0 {
		t.Errorf("systemd-analyze verify: %v\n%s", err, out)
	}
	out, err = exec.CommandContext(t.Context(), "systemd-analyze", "security", "--offline=yes", "--threshold="+exposureLimit, unit).CombinedOutput()
	if err != nil {
		t.Errorf("systemd-analyze security: %v\n%s", err, out)
	}
}
