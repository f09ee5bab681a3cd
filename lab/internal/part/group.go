package part

import "syscall"

// OwnGroup gives a child a process group of its own.
func OwnGroup(attributes *syscall.SysProcAttr) *syscall.SysProcAttr {
	attributes.Setpgid = true
	return attributes
}
