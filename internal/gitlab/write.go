package gitlab

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// Names of the files that Write makes.
const (
	DotenvFile      = "rollstep.env"
	JUnitFile       = "junit.xml"
	AnnotationsFile = "annotations.json"
	PageFile        = "report.html"
)

// Write makes dir and writes into it what GitLab and people read of the stage.
// Each file appears whole or not at all, and one that fails keeps none of the
// others from being written.
func (r *Report) Write(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("reports: %w", err)
	}
	var errs []error
	for _, f := range []struct {
		name   string
		render func() ([]byte, error)
	}{
		{DotenvFile, r.dotenv},
		{JUnitFile, r.junit},
		{AnnotationsFile, r.annotations},
		{PageFile, r.page},
	} {
		text, err := f.render()
		if err == nil {
			err = replace(filepath.Join(dir, f.name), text)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("report %s: %w", f.name, err))
		}
	}
	return errors.Join(errs...)
}

// replace puts text in the place of file at once.
func replace(file string, text []byte) (err error) {
	temp, err := os.CreateTemp(filepath.Dir(file), "."+filepath.Base(file)+"-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(temp.Name()))
		}
	}()
	_, err = temp.Write(text)
	// The runner that uploads the file may be another user.
	err = errors.Join(err, temp.Chmod(0o644), temp.Close())
	if err != nil {
		return err
	}
	return os.Rename(temp.Name(), file)
}
