package record

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"sigs.k8s.io/yaml"

	"gitlab.com/rollstep/rollstep/internal/hint"
)

var (
	configMaps = schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}
	secrets    = schema.GroupVersionResource{Version: "v1", Resource: "secrets"}
)

// Label marks the objects in which rollstep remembers; its value is the release.
const Label = "rollstep.gitlab.io/record"

// Store reads and writes the record of one release. A write succeeds only if
// nobody else wrote since the last read.
type Store struct {
	client    dynamic.Interface
	namespace string
	release   string

	version string // resourceVersion read or written last; "" if there is no record
	written string // its content
}

// NewStore returns the store of a release whose record lies in namespace.
func NewStore(client dynamic.Interface, namespace, release string) *Store {
	return &Store{client: client, namespace: namespace, release: release}
}

// Name is the name of the record's ConfigMap and of the lock's Lease.
func (s *Store) Name() string { return "rollstep-" + s.release }

// Read returns the record, an empty one if there is none.
func (s *Store) Read(ctx context.Context) (*Record, error) {
	cm, err := s.client.Resource(configMaps).Namespace(s.namespace).Get(ctx, s.Name(), metav1.GetOptions{})
	if errors.IsNotFound(err) {
		s.version, s.written = "", ""
		return &Record{Release: s.release}, nil
	}
	if err != nil {
		return nil, err
	}
	text, _, _ := unstructured.NestedString(cm.Object, "data", "record")
	r := &Record{}
	if err := yaml.UnmarshalStrict([]byte(text), r); err != nil || r.Release != s.release {
		return nil, Refuse(
			fmt.Sprintf("Repair it, or remove it (kubectl -n %s delete configmap %s): a canary in flight is found again by its labels", s.namespace, s.Name()),
			"the record in ConfigMap %s/%s cannot be read (%v)", s.namespace, s.Name(), err)
	}
	s.version, s.written = cm.GetResourceVersion(), text
	return r, nil
}

// Write stores the record, unless it is stored so already.
func (s *Store) Write(ctx context.Context, r *Record) error {
	text, err := yaml.Marshal(r)
	if err != nil {
		return err
	}
	if string(text) == s.written && s.version != "" {
		return nil
	}
	cm := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1",
		"kind":       "ConfigMap",
		"metadata":   s.metadata(s.Name()),
		"data":       map[string]any{"record": string(text)},
	}}
	stored, err := s.put(ctx, cm)
	for range conflictTries {
		if !errors.IsConflict(err) && !errors.IsAlreadyExists(err) && !errors.IsNotFound(err) {
			break
		}
		stored, err = s.settle(ctx, cm, string(text), err)
	}
	if err != nil {
		return fmt.Errorf("writing the record: %w", err)
	}
	s.version, s.written = stored.GetResourceVersion(), string(text)
	return nil
}

const conflictTries = 3

func (s *Store) put(ctx context.Context, cm *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	ri := s.client.Resource(configMaps).Namespace(s.namespace)
	if s.version == "" {
		return ri.Create(ctx, cm, metav1.CreateOptions{})
	}
	cm.SetResourceVersion(s.version)
	return ri.Update(ctx, cm, metav1.UpdateOptions{})
}

// settle looks what became of a write that seems to have met another one: it
// may have been ours, its answer lost on the way; nobody may have written; or
// somebody else did.
func (s *Store) settle(ctx context.Context, cm *unstructured.Unstructured, text string, failure error) (*unstructured.Unstructured, error) {
	live, err := s.client.Resource(configMaps).Namespace(s.namespace).Get(ctx, s.Name(), metav1.GetOptions{})
	if err != nil {
		return nil, somebodyElse(failure)
	}
	if stored, _, _ := unstructured.NestedString(live.Object, "data", "record"); stored == text {
		return live, nil
	}
	if live.GetResourceVersion() == s.version {
		return s.put(ctx, cm)
	}
	return nil, somebodyElse(failure)
}

func somebodyElse(failure error) error {
	return Refuse("Look with rollstep status, then run the job again", "somebody else changed the record meanwhile: %w", failure)
}

func (s *Store) metadata(name string) map[string]any {
	return map[string]any{
		"name":      name,
		"namespace": s.namespace,
		"labels":    map[string]any{Label: s.release, "app.kubernetes.io/managed-by": "rollstep"},
	}
}

// maxManifests is what an object may hold in etcd, less its own metadata.
const maxManifests = 1 << 20

// promotionAnnotation says of a kept release what the record does, so that a
// lost record can be recalled.
const promotionAnnotation = "rollstep.gitlab.io/promotion"

// keptPromotion is what promotionAnnotation holds.
type keptPromotion struct {
	Promotion
	Before string `json:"before,omitempty"` // hash of the release that was live
}

// Keep stores the packed manifests of a release that is about to be promoted in
// place of the one with hash before ("" for none), and returns the name of the
// Secret that holds them.
func (s *Store) Keep(ctx context.Context, p Promotion, before string, packed []byte) (string, error) {
	p.Manifests = s.Name() + "-" + Short(p.Hash)
	if len(packed) > maxManifests*3/4 {
		return "", hint.Errorf("Split the release into smaller ones, each with its own ROLLSTEP_RELEASE",
			"the manifests are too large to be kept for a rollback (%d KiB compressed)", len(packed)>>10)
	}
	about, err := json.Marshal(keptPromotion{p, before})
	if err != nil {
		return "", err
	}
	secret := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1",
		"kind":       "Secret",
		"metadata":   s.metadata(p.Manifests),
		"data":       map[string]any{"manifests": base64.StdEncoding.EncodeToString(packed)},
	}}
	secret.SetAnnotations(map[string]string{promotionAnnotation: string(about)})
	ri := s.client.Resource(secrets).Namespace(s.namespace)
	_, err = ri.Create(ctx, secret, metav1.CreateOptions{})
	if errors.IsAlreadyExists(err) && p.Hash != before { // promoted before, and again
		patch := map[string]any{"metadata": map[string]any{"annotations": secret.GetAnnotations()}}
		var body []byte
		if body, err = json.Marshal(patch); err == nil {
			_, err = ri.Patch(ctx, p.Manifests, types.MergePatchType, body, metav1.PatchOptions{})
		}
	}
	if err != nil && !errors.IsAlreadyExists(err) {
		return "", fmt.Errorf("keeping the manifests for a rollback: %w", err)
	}
	return p.Manifests, nil
}

// Recall returns the releases whose manifests are kept, the newest first, as a
// record that was lost had them; the newest may not have been promoted in full.
// The one that each replaced stands behind it, whatever the clocks said.
func (s *Store) Recall(ctx context.Context) ([]Promotion, error) {
	list, err := s.client.Resource(secrets).Namespace(s.namespace).List(ctx, metav1.ListOptions{LabelSelector: Label + "=" + s.release})
	if err != nil {
		return nil, err
	}
	var kept []keptPromotion
	for _, secret := range list.Items {
		var p keptPromotion
		if json.Unmarshal([]byte(secret.GetAnnotations()[promotionAnnotation]), &p) == nil && p.Hash != "" {
			kept = append(kept, p)
		}
	}
	return inOrder(kept), nil
}

// inOrder sorts kept releases, the newest first: that of the latest time, those
// that it replaced one after the other, and any that replaced it although the
// clock of its job was behind; then what is left, by time.
func inOrder(kept []keptPromotion) []Promotion {
	slices.SortStableFunc(kept, func(a, b keptPromotion) int { return b.At.Compare(a.At) })
	var order []keptPromotion
	take := func(at int, which func(keptPromotion) bool) bool {
		i := slices.IndexFunc(kept, which)
		if i < 0 {
			return false
		}
		order = slices.Insert(order, at, kept[i])
		kept = slices.Delete(kept, i, i+1)
		return true
	}
	take(0, func(keptPromotion) bool { return true })
	for len(order) > 0 && take(len(order), func(p keptPromotion) bool { return p.Hash == order[len(order)-1].Before }) {
	}
	for len(order) > 0 && take(0, func(p keptPromotion) bool { return p.Before == order[0].Hash }) {
	}
	var promotions []Promotion
	for _, p := range slices.Concat(order, kept) {
		promotions = append(promotions, p.Promotion)
	}
	return promotions
}

// Kept returns the packed manifests of a promoted release.
func (s *Store) Kept(ctx context.Context, p Promotion) ([]byte, error) {
	secret, err := s.client.Resource(secrets).Namespace(s.namespace).Get(ctx, p.Manifests, metav1.GetOptions{})
	if err != nil {
		return nil, fmt.Errorf("reading the manifests of release %s: %w", Short(p.Hash), err)
	}
	text, _, _ := unstructured.NestedString(secret.Object, "data", "manifests")
	return base64.StdEncoding.DecodeString(text)
}

// Prune removes the manifests of releases that the record no longer knows. Those
// of a record that was lost stay.
func (s *Store) Prune(ctx context.Context, r *Record) error {
	if len(r.Promoted) == 0 {
		return nil
	}
	known := map[string]bool{}
	for _, p := range r.Promoted {
		known[p.Manifests] = true
	}
	ri := s.client.Resource(secrets).Namespace(s.namespace)
	list, err := ri.List(ctx, metav1.ListOptions{LabelSelector: Label + "=" + s.release})
	if err != nil {
		return err
	}
	for _, secret := range list.Items {
		if known[secret.GetName()] || !strings.HasPrefix(secret.GetName(), s.Name()+"-") {
			continue
		}
		if err := ri.Delete(ctx, secret.GetName(), metav1.DeleteOptions{}); err != nil && !errors.IsNotFound(err) {
			return err
		}
	}
	return nil
}
