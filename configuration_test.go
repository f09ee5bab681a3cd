package main

import (
	"encoding/base64"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"gitlab.com/rollstep/rollstep/internal/labtest"
)

const (
	settingsV1    = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\ndata: {colour: blue}\n"
	settingsV2    = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\ndata: {colour: green}\n"
	credentialsV1 = "apiVersion: v1\nkind: Secret\nmetadata: {name: credentials}\nstringData: {password: first}\n"
	credentialsV2 = "apiVersion: v1\nkind: Secret\nmetadata: {name: credentials}\nstringData: {password: second}\n"
)

// configured are manifests whose pods use ConfigMap settings and Secret
// credentials, both in their environment and as a volume.
func configured(t *testing.T, tag, settings, credentials string) labtest.Files {
	t.Helper()
	return few(t, tag, 3).
		Edit("deploy.yaml", "          ports:", `          envFrom:
            - configMapRef: {name: settings}
          env:
            - name: PASSWORD
              valueFrom: {secretKeyRef: {name: credentials, key: password}}
          volumeMounts:
            - {name: files, mountPath: /etc/app}
          ports:`).
		Edit("deploy.yaml", "      containers:", `      volumes:
        - name: files
          projected:
            sources:
              - configMap: {name: settings}
              - secret: {name: credentials}
      containers:`).
		With("settings.yaml", settings).With("credentials.yaml", credentials)
}

func password(t *testing.T, s *labtest.Space, secret string) string {
	t.Helper()
	o := s.Get(labtest.Secrets, secret)
	if o == nil {
		return ""
	}
	encoded, _, _ := unstructured.NestedString(o.Object, "data", "password")
	text, err := base64.StdEncoding.DecodeString(encoded)
	assert.NoError(t, err)
	return string(text)
}

// references are the names of the ConfigMap and the Secret that a Deployment's
// pods use, each by environment and by volume.
func references(s *labtest.Space, deployment string) [4]string {
	pod := s.Deployment(deployment).Spec.Template.Spec
	sources := pod.Volumes[0].Projected.Sources
	return [4]string{
		pod.Containers[0].EnvFrom[0].ConfigMapRef.Name, sources[0].ConfigMap.Name,
		pod.Containers[0].Env[0].ValueFrom.SecretKeyRef.Name, sources[1].Secret.Name,
	}
}

// New configuration reaches canary pods only, until promote; rollback brings
// the old one back, with the pods that use it.
func TestCanary_keepsNewConfigurationFromTheStablePods(t *testing.T) {
	t.Parallel()
	const restartedAt = "kubectl.kubernetes.io/restartedAt"
	for name, test := range map[string]struct {
		tag, settings, credentials string
		canary                     [4]string
		restarts                   bool
	}{
		"a ConfigMap with the image":   {"v2", settingsV2, credentialsV1, [4]string{"settings-canary", "settings-canary", "credentials", "credentials"}, false},
		"a ConfigMap alone":            {"v1", settingsV2, credentialsV1, [4]string{"settings-canary", "settings-canary", "credentials", "credentials"}, true},
		"a Secret with the image":      {"v2", settingsV1, credentialsV2, [4]string{"settings", "settings", "credentials-canary", "credentials-canary"}, false},
		"a Secret alone":               {"v1", settingsV1, credentialsV2, [4]string{"settings", "settings", "credentials-canary", "credentials-canary"}, true},
		"both together with the image": {"v2", settingsV2, credentialsV2, [4]string{"settings-canary", "settings-canary", "credentials-canary", "credentials-canary"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := released(t, configured(t, "v1", settingsV1, credentialsV1))
			before := s.Deployment("app").Spec.Template
			guard := s.Guard("app", 3)
			p := s.Pipeline(2, configured(t, test.tag, test.settings, test.credentials))

			p.Run("canary", "50%").Succeeds()
			assert.Equal(t, test.canary, references(s, "app-canary"))
			assert.Equal(t, before, s.Deployment("app").Spec.Template)
			assert.Equal(t, map[string]string{"colour": "blue"}, s.Data("settings"))
			assert.Equal(t, "first", password(t, s, "credentials"))
			if test.settings == settingsV2 {
				assert.Equal(t, map[string]string{"colour": "green"}, s.Data("settings-canary"))
			}
			if test.credentials == credentialsV2 {
				assert.Equal(t, "second", password(t, s, "credentials-canary"))
			}

			p.Run("promote").Succeeds()
			assert.Empty(t, s.Leftovers())
			assert.Equal(t, test.settings == settingsV2, s.Data("settings")["colour"] == "green")
			assert.Equal(t, test.credentials == credentialsV2, password(t, s, "credentials") == "second")
			promoted := s.Deployment("app").Spec.Template
			assert.Equal(t, [4]string{"settings", "settings", "credentials", "credentials"}, references(s, "app"))
			assert.Equal(t, test.restarts, promoted.Annotations[restartedAt] != "", "restarted: %v", promoted.Annotations)
			state := s.State()
			p.Run("promote").Succeeds("nothing to promote")
			s.Unchanged(state)

			p.Run("rollback").Succeeds()
			guard.Check(3)
			assert.Equal(t, map[string]string{"colour": "blue"}, s.Data("settings"))
			assert.Equal(t, "first", password(t, s, "credentials"))
			back := s.Deployment("app").Spec.Template
			if test.restarts {
				assert.NotEqual(t, promoted.Annotations[restartedAt], back.Annotations[restartedAt], "restarted again: the pods get the old configuration")
				delete(back.Annotations, restartedAt)
				if len(back.Annotations) == 0 {
					back.Annotations = nil
				}
			}
			assert.Equal(t, before, back)
		})
	}
}

func TestRollback_ofAConfigurationInFlightLeavesTheOldOne(t *testing.T) {
	s := released(t, configured(t, "v1", settingsV1, credentialsV1))
	before := s.Deployment("app").Spec
	pods := s.PodsOf("app")
	p := s.Pipeline(2, configured(t, "v1", settingsV2, credentialsV2))
	p.Run("canary").Succeeds()
	p.Run("rollback").Succeeds()
	assert.Empty(t, s.Leftovers())
	assert.Equal(t, before, s.Deployment("app").Spec)
	assert.Equal(t, "blue", s.Data("settings")["colour"])
	assert.Equal(t, "first", password(t, s, "credentials"))
	kept := slices.DeleteFunc(s.PodsOf("app"), func(name string) bool { return !slices.Contains(pods, name) })
	assert.Len(t, kept, 2, "only the pod that made room for the canary is new")
}

func TestCanary_replacesItsPodsWhenACopyChanges(t *testing.T) {
	s := released(t, configured(t, "v1", settingsV1, credentialsV1))
	s.Pipeline(2, configured(t, "v1", settingsV2, credentialsV1)).Run("canary").Succeeds()
	pods := s.PodsOf("app-canary")
	third := "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\ndata: {colour: red}\n"
	s.Pipeline(3, configured(t, "v1", third, credentialsV1)).Run("canary").Succeeds()
	assert.Equal(t, "red", s.Data("settings-canary")["colour"])
	assert.Equal(t, "blue", s.Data("settings")["colour"])
	now := s.PodsOf("app-canary")
	assert.Len(t, now, 1)
	assert.NotEqual(t, pods, now)
}

// New configuration has no live one to protect: it is simply created.
func TestCanary_createsNewConfigurationAndRollbackRemovesIt(t *testing.T) {
	s := released(t, few(t, "v1", 3))
	p := s.Pipeline(2, configured(t, "v2", settingsV1, credentialsV1))
	p.Run("canary").Succeeds()
	assert.Equal(t, [4]string{"settings", "settings", "credentials", "credentials"}, references(s, "app-canary"))
	assert.Equal(t, "blue", s.Data("settings")["colour"])
	p.Run("rollback").Succeeds()
	assert.Nil(t, s.Get(labtest.ConfigMaps, "settings"))
	assert.Nil(t, s.Get(labtest.Secrets, "credentials"))
	assert.Empty(t, s.Leftovers())
}

// A ConfigMap that no pod uses is no reason for a canary.
func TestCanary_hasNothingToDoForConfigurationThatNoPodUses(t *testing.T) {
	s := released(t, few(t, "v1", 2).With("settings.yaml", settingsV1))
	p := s.Pipeline(2, few(t, "v1", 2).With("settings.yaml", settingsV2))
	before := s.State()
	p.Run("canary").Succeeds("nothing to canary")
	s.Unchanged(before)
	pods := s.PodsOf("app")
	p.Run("promote").Succeeds()
	assert.Equal(t, "green", s.Data("settings")["colour"])
	assert.Equal(t, pods, s.PodsOf("app"))
}
