package podlife

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/kubernetes/pkg/kubelet/events"
)

// Objects gives the configuration that pods refer to, as last seen.
type Objects interface {
	ConfigMap(namespace, name string) (*corev1.ConfigMap, error)
	Secret(namespace, name string) (*corev1.Secret, error)
}

const (
	// An object may be seen later than a pod that was created after it.
	// A kubelet waits for its view to catch up before it complains; so do we.
	catchUp     = 500 * time.Millisecond
	recheck     = 100 * time.Millisecond
	complainAll = 5 * time.Second
)

// configuration is a container's wait for the ConfigMaps and Secrets of its environment.
type configuration struct{ complaints }

// complaints paces the events about something missing.
type complaints struct{ since, last time.Time }

// due tells whether to complain now; it asks to be stepped again soon in any case.
func (c *complaints) due(s *step) bool {
	s.due(s.now.Add(recheck))
	if c.since.IsZero() {
		c.since = s.now
	}
	if s.now.Before(c.since.Add(catchUp)) || !c.last.IsZero() && s.now.Before(c.last.Add(complainAll)) {
		return false
	}
	c.last = s.now
	return true
}

// configured tells whether the container's environment is complete, and else
// says what is missing as the kubelet's makeEnvironmentVariables does.
func (c *container) configured(s *step) bool {
	err := missingInEnvironment(s, c.spec)
	if err == nil {
		return true
	}
	if c.conf.due(s) {
		c.event(s, corev1.EventTypeWarning, events.FailedToCreateContainer, "Error: %v", err)
		c.wait("CreateContainerConfigError", err.Error())
	}
	return false
}

func missingInEnvironment(s *step, c *corev1.Container) error {
	for _, from := range c.EnvFrom {
		if ref := from.ConfigMapRef; ref != nil {
			if err := configMapKey(s, ref.Name, nil, ref.Optional); err != nil {
				return err
			}
		}
		if ref := from.SecretRef; ref != nil {
			if err := secretKey(s, ref.Name, nil, ref.Optional); err != nil {
				return err
			}
		}
	}
	for _, env := range c.Env {
		if env.ValueFrom == nil {
			continue
		}
		if ref := env.ValueFrom.ConfigMapKeyRef; ref != nil {
			if err := configMapKey(s, ref.Name, &ref.Key, ref.Optional); err != nil {
				return err
			}
		}
		if ref := env.ValueFrom.SecretKeyRef; ref != nil {
			if err := secretKey(s, ref.Name, &ref.Key, ref.Optional); err != nil {
				return err
			}
		}
	}
	return nil
}

func configMapKey(s *step, name string, key *string, optional *bool) error {
	if optional != nil && *optional {
		return nil
	}
	found, err := s.objects.ConfigMap(s.pod.Namespace, name)
	if err != nil {
		return notFound("configmap", name, err)
	}
	if key != nil {
		if _, ok := found.Data[*key]; !ok {
			return fmt.Errorf("couldn't find key %v in ConfigMap %v/%v", *key, s.pod.Namespace, name)
		}
	}
	return nil
}

func secretKey(s *step, name string, key *string, optional *bool) error {
	if optional != nil && *optional {
		return nil
	}
	found, err := s.objects.Secret(s.pod.Namespace, name)
	if err != nil {
		return notFound("secret", name, err)
	}
	if key != nil {
		if _, ok := found.Data[*key]; !ok {
			return fmt.Errorf("couldn't find key %v in Secret %v/%v", *key, s.pod.Namespace, name)
		}
	}
	return nil
}

func notFound(kind, name string, err error) error {
	if apierrors.IsNotFound(err) {
		return fmt.Errorf("%s %q not found", kind, name)
	}
	return err
}
