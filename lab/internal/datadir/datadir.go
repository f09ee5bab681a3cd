// Package datadir keeps the data of one lab in a directory that is locked while
// the lab lives, so that what a killed lab left can be told from a running one.
package datadir

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

const (
	lockName  = "lab.lock"
	temporary = "rollstep-lab-"
)

// Dir is a directory that belongs to this process.
type Dir struct {
	Path  string
	lock  *os.File
	owned bool // made by us, and removed as a whole
}

// Temporary makes a fresh directory, and first removes those of labs that were killed.
func Temporary() (*Dir, error) {
	stale, _ := filepath.Glob(filepath.Join(os.TempDir(), temporary+"*"))
	for _, path := range stale {
		removeIfDead(path)
	}
	path, err := os.MkdirTemp("", temporary)
	if err != nil {
		return nil, err
	}
	lock, err := acquire(path)
	if err != nil {
		return nil, err
	}
	return &Dir{Path: path, lock: lock, owned: true}, nil
}

// At uses the directory at path, made if need be. What a killed lab left in it
// is removed; anything else in it is somebody's and refused.
func At(path string) (*Dir, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	_, err = os.Stat(path)
	owned := errors.Is(err, os.ErrNotExist)
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(filepath.Join(path, lockName)); len(entries) > 0 && err != nil {
		return nil, fmt.Errorf("directory %s is not empty and was not made by a lab; name an empty or a new one", path)
	}
	lock, err := acquire(path)
	if err != nil {
		return nil, err
	}
	d := &Dir{Path: path, lock: lock, owned: owned}
	return d, d.clear()
}

// Remove removes the data, and the directory too if it was made for the lab.
func (d *Dir) Remove() error {
	defer func() { _ = d.lock.Close() }()
	if d.owned {
		return os.RemoveAll(d.Path)
	}
	return errors.Join(d.clear(), os.Remove(d.lock.Name()))
}

// clear removes everything but the lock.
func (d *Dir) clear() error {
	entries, err := os.ReadDir(d.Path)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if entry.Name() != lockName {
			if err := os.RemoveAll(filepath.Join(d.Path, entry.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

func acquire(path string) (*os.File, error) {
	lock, err := os.OpenFile(filepath.Join(path, lockName), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = lock.Close()
		return nil, fmt.Errorf("another lab is running in %s: %w", path, err)
	}
	return lock, nil
}

// removeIfDead removes the directory of a lab that no longer runs. A lab that
// has made its directory but not yet its lock is left alone.
func removeIfDead(path string) {
	if _, err := os.Stat(filepath.Join(path, lockName)); err != nil {
		return
	}
	lock, err := acquire(path)
	if err != nil {
		return
	}
	defer func() { _ = lock.Close() }()
	_ = os.RemoveAll(path)
}
