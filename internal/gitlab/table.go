package gitlab

import (
	"io"
	"strings"
	"text/tabwriter"
)

// Table writes rows in aligned columns, the first row as their header. Rows may
// differ in length.
func (l *Log) Table(rows [][]string) {
	if len(rows) == 0 {
		return
	}
	// A column of tabwriter ends where a row does not have it, so all rows get all.
	columns := 0
	for _, row := range rows {
		columns = max(columns, len(row))
	}
	var text strings.Builder
	tw := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		for i := range columns {
			if i < len(row) {
				io.WriteString(tw, strings.Join(strings.Fields(clean(row[i])), " "))
			}
			io.WriteString(tw, "\t")
		}
		io.WriteString(tw, "\n")
	}
	tw.Flush()
	var out strings.Builder
	for i, line := range strings.Split(strings.TrimSuffix(text.String(), "\n"), "\n") {
		line = strings.TrimRight(line, " ") + "\n"
		if i == 0 {
			line = l.paint(line, bold)
		}
		out.WriteString(line)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.write(out.String())
}
