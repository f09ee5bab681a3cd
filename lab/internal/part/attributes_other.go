//go:build !linux

package part

import "syscall"

// DieWithParent does nothing where the kernel cannot; parts then rely on EndWithParent.
func DieWithParent() *syscall.SysProcAttr { return &syscall.SysProcAttr{} }
