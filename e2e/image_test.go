package e2e

import (
	"bytes"
	"context"
	"debug/elf"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// buildGuard bounds the build of the image for two architectures, one of which
// Go may have to compile everything for.
const buildGuard = 10 * time.Minute

// image is the project's image, unpacked for one architecture.
type image struct {
	root   string // of its file system
	config struct {
		Entrypoint []string
		Cmd        []string
		User       string
		Env        []string
		Labels     map[string]string
	}
}

// images are those for amd64 and arm64, built once from the Dockerfile.
var images = sync.OnceValues(func() (map[string]image, error) {
	s := store{dir: filepath.Join(tools, "images")}
	if err := s.standIns(); err != nil {
		return nil, err
	}
	if err := s.build(); err != nil {
		return nil, err
	}
	built := map[string]image{}
	for _, arch := range []string{"amd64", "arm64"} {
		i, err := s.unpack(arch)
		if err != nil {
			return nil, err
		}
		built[arch] = i
	}
	return built, nil
})

func theImage(t *testing.T) image {
	t.Helper()
	all, err := images()
	require.NoError(t, err)
	return all[runtime.GOARCH]
}

// Every version of Go that the project names is that of go.mod.
func TestImage_isBuiltByTheGoOfTheModule(t *testing.T) {
	version := regexp.MustCompile(`(?m)^go (\S+)$`).FindStringSubmatch(read(t, "../go.mod"))
	require.NotNil(t, version)
	for _, file := range []string{"../Dockerfile", "../.gitlab-ci.yml"} {
		found := regexp.MustCompile(`golang:([\d.]+)`).FindAllStringSubmatch(read(t, file), -1)
		require.NotEmpty(t, found, file)
		for _, f := range found {
			assert.Equal(t, version[1], f[1], file)
		}
	}
}

func TestImage_suitsAJob(t *testing.T) {
	all, err := images()
	require.NoError(t, err)
	machines := map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64}
	for arch, i := range all {
		t.Run(arch, func(t *testing.T) {
			assert.Empty(t, i.config.Entrypoint, "a job would have to undo it")
			assert.Empty(t, i.config.User, "the runner's other containers write the checkout as root")
			assert.Equal(t, []string{"rollstep", "help"}, i.config.Cmd)
			assert.Contains(t, i.config.Env, "HOME=/tmp")
			for name, value := range map[string]string{"title": "rollstep", "version": "v9.8.7", "revision": "0123abc",
				"licenses": "Apache-2.0", "source": "https://gitlab.com/rollstep/rollstep", "url": "https://gitlab.com/rollstep/rollstep"} {
				assert.Equal(t, value, i.config.Labels["org.opencontainers.image."+name], name)
			}
			binary, err := elf.Open(filepath.Join(i.root, "usr/local/bin/rollstep"))
			require.NoError(t, err)
			defer binary.Close()
			assert.Equal(t, machines[arch], binary.Machine)
			libraries, err := binary.ImportedLibraries()
			require.NoError(t, err)
			assert.Empty(t, libraries, "it is static")
			authorities, err := os.ReadFile(filepath.Join(i.root, "etc/ssl/certs/ca-certificates.crt"))
			require.NoError(t, err)
			assert.Contains(t, string(authorities), "BEGIN CERTIFICATE")
			size := unpacked(t, i.root)
			t.Logf("%.1f MB", float64(size)/1e6)
			assert.Less(t, size, int64(30_000_000), "bytes unpacked, with the busybox of this machine")
		})
	}
}

// unpacked is how many bytes the files of an image have.
func unpacked(t *testing.T, root string) (size int64) {
	t.Helper()
	require.NoError(t, filepath.WalkDir(root, func(_ string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		info, err := entry.Info()
		if err == nil {
			size += info.Size()
		}
		return err
	}))
	return size
}

// store is a place of its own for images and containers, so that nothing of it
// stays. The driver vfs needs no mount, the isolation chroot no daemon.
type store struct{ dir string }

func (s store) buildah(args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), buildGuard)
	defer cancel()
	cmd := exec.CommandContext(ctx, "buildah", append([]string{"--storage-driver", "vfs",
		"--root", filepath.Join(s.dir, "root"), "--runroot", filepath.Join(s.dir, "run")}, args...)...)
	cmd.Env = append(os.Environ(), "BUILDAH_ISOLATION=chroot")
	cmd.Dir = ".."
	var out, errors bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errors
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("buildah %s: %w (as root? .ci/install installs buildah)\n%s%s", strings.Join(args, " "), err, &out, &errors)
	}
	return strings.TrimSpace(out.String()), nil
}

// standIns commits images under the names that the Dockerfile begins with: no
// registry of images is asked. They hold what their namesakes have that
// the Dockerfile needs: a busybox, and for Go the settings of this machine; Go
// itself is mounted. Each is there for both architectures: the build stage must run
// here, and of the other one only files are copied.
func (s store) standIns() error {
	text, err := os.ReadFile("../Dockerfile")
	if err != nil {
		return err
	}
	names := regexp.MustCompile(`(?m)^FROM (?:--platform=\S+ )?(\S+)`).FindAllStringSubmatch(string(text), -1)
	if len(names) != 2 || !strings.Contains(names[0][1], "/golang:") || !strings.Contains(names[1][1], "/busybox:") {
		return fmt.Errorf("the Dockerfile begins with other images than golang and busybox: %q", names)
	}
	root, err := s.busybox()
	if err != nil {
		return err
	}
	proxy, err := exec.Command("go", "env", "GOPROXY").Output()
	if err != nil {
		return err
	}
	for i, settings := range [][]string{
		{"--env", "PATH=/usr/local/go/bin:/bin", "--env", "GOPROXY=" + strings.TrimSpace(string(proxy)), "--env", "GOTOOLCHAIN=local",
			"--env", "GOFLAGS=-buildvcs=false", "--env", "GOCACHE=/go/cache", "--env", "GOMODCACHE=/go/mod"},
		{"--env", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
	} {
		if err := s.commit(names[i][1], root, settings); err != nil {
			return err
		}
	}
	return nil
}

func (s store) commit(name, root string, settings []string) error {
	if _, err := s.buildah("manifest", "create", name); err != nil {
		return err
	}
	for _, arch := range []string{"amd64", "arm64"} {
		container, err := s.buildah("from", "--arch", arch, "scratch")
		if err != nil {
			return err
		}
		config := append([]string{"config", "--arch", arch, "--os", "linux"}, settings...)
		for _, args := range [][]string{
			{"copy", "--quiet", container, root, "/"},
			append(config, container),
			{"commit", "--quiet", "--rm", "--manifest", name, container},
		} {
			if _, err := s.buildah(args...); err != nil {
				return err
			}
		}
	}
	return nil
}

// busybox is a file system of this machine's static busybox.
func (s store) busybox() (root string, err error) {
	root = filepath.Join(s.dir, "busybox")
	for _, dir := range []string{"bin", "etc/ssl/certs"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			return "", err
		}
	}
	if err := os.Mkdir(filepath.Join(root, "tmp"), 0o755); err != nil {
		return "", err
	}
	if err := os.Chmod(filepath.Join(root, "tmp"), 0o777|os.ModeSticky); err != nil {
		return "", err
	}
	for from, to := range map[string]string{"/bin/busybox": "bin/busybox", "/etc/ssl/certs/ca-certificates.crt": "etc/ssl/certs/ca-certificates.crt"} {
		content, err := os.ReadFile(from)
		if err != nil {
			return "", fmt.Errorf("%w (.ci/install installs busybox-static and ca-certificates)", err)
		}
		if err := os.WriteFile(filepath.Join(root, to), content, 0o755); err != nil {
			return "", err
		}
	}
	applets, err := exec.Command("/bin/busybox", "--list").Output()
	if err != nil {
		return "", err
	}
	for applet := range strings.FieldsSeq(string(applets)) {
		if err := os.Symlink("busybox", filepath.Join(root, "bin", applet)); err != nil && !os.IsExist(err) {
			return "", err
		}
	}
	return root, nil
}

// build builds the image as the job `container image` does.
func (s store) build() error {
	args := []string{"build", "--pull-never", "--platform", "linux/amd64,linux/arm64", "--manifest", "rollstep",
		"--build-arg", "VERSION=v9.8.7", "--build-arg", "REVISION=0123abc"}
	for name, at := range map[string]string{"GOROOT": "/usr/local/go", "GOMODCACHE": "/go/mod", "GOCACHE": "/go/cache"} {
		path, err := exec.Command("go", "env", name).Output()
		if err != nil {
			return err
		}
		args = append(args, "--volume", strings.TrimSpace(string(path))+":"+at)
	}
	_, err := s.buildah(append(args, ".")...)
	return err
}

func (s store) unpack(arch string) (i image, err error) {
	container, err := s.buildah("from", "--pull-never", "--arch", arch, "rollstep")
	if err != nil {
		return i, err
	}
	if i.root, err = s.buildah("mount", container); err != nil {
		return i, err
	}
	text, err := s.buildah("inspect", container)
	if err != nil {
		return i, err
	}
	var inspected struct {
		OCIv1 struct{ Config json.RawMessage }
	}
	if err := json.Unmarshal([]byte(text), &inspected); err != nil {
		return i, err
	}
	return i, json.Unmarshal(inspected.OCIv1.Config, &i.config)
}
