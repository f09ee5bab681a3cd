package main

import (
	"testing"

	"gitlab.com/rollstep/rollstep/internal/labtest"
)

// At the deadline it is told what merely takes too long.
func TestDiagnosis_explainsAtTheDeadline(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		tag  string
		edit func(labtest.Files) labtest.Files
		says []string
	}{
		"a readiness probe by HTTP": {
			"v2-never-ready", func(f labtest.Files) labtest.Files {
				return f.Edit("deploy.yaml", "path: /\n              port: 5000", "path: /healthz\n              port: 8081")
			},
			[]string{
				"Unhealthy: container app has not passed its readiness probe: GET /healthz on port 8081, which last failed with: HTTP probe failed with statuscode: 503",
				"waiting for upstream: not ready yet",
			},
		},
		"a readiness probe by command": {
			"v2-never-ready", func(f labtest.Files) labtest.Files {
				return f.Edit("deploy.yaml", "httpGet:\n              path: /\n              port: 5000", "exec: {command: [cat, /tmp/ready]}")
			},
			[]string{"Unhealthy: container app has not passed its readiness probe: command `cat /tmp/ready`, which last failed with: not ready"},
		},
		"a claim whose storage class is missing": {
			"v2", func(f labtest.Files) labtest.Files {
				return withSpec(f, "volumes: [{name: data, persistentVolumeClaim: {claimName: data}}]").With("claim.yaml", claim("fast"))
			},
			[]string{"PersistentVolumeClaim data", `storageclass.storage.k8s.io "fast" not found`, "→ create the storage class"},
		},
		"a claim that nobody provides for": {
			"v2", func(f labtest.Files) labtest.Files {
				return withSpec(f, "volumes: [{name: data, persistentVolumeClaim: {claimName: data}}]").With("claim.yaml", claim(""))
			},
			[]string{"PersistentVolumeClaim data: no persistent volumes available for this claim and no storage class is set", "→ set storageClassName"},
		},
		"a Service that selects no pod": {
			"v2-never-ready", func(f labtest.Files) labtest.Files {
				return f.With("other.yaml", "apiVersion: v1\nkind: Service\nmetadata: {name: other}\nspec: {selector: {app: ap}, ports: [{port: 80}]}\n")
			},
			[]string{"NoPodSelected: Service other selects no pod: none has the labels app=ap (there are pods with app=app", "→ correct the Service's selector"},
		},
		"a load balancer without an address": {
			"v2-never-ready", func(f labtest.Files) labtest.Files {
				return f.With("public.yaml", "apiVersion: v1\nkind: Service\nmetadata: {name: public}\n"+
					"spec: {type: LoadBalancer, loadBalancerClass: example.com/none, selector: {app: app}, ports: [{port: 80}]}\n")
			},
			[]string{"NoAddress: Service public of type LoadBalancer has no address yet", "→ see that the cluster has load balancers"},
		},
		"a missing volume": {
			"v2", func(f labtest.Files) labtest.Files {
				return withContainer(withSpec(f, "volumes: [{name: files, configMap: {name: settings}}]"), "volumeMounts: [{name: files, mountPath: /etc/app}]")
			},
			[]string{"FailedMount: the node cannot prepare the pod: ", `configmap "settings" not found`, "→ add the ConfigMap"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := released(t, few(t, "v1", 3))
			s.AllowCluster(labtest.Rule("", "persistentvolumeclaims"))
			check := untouched(t, s, 3)
			s.Pipeline(2, test.edit(few(t, test.tag, 3))).With("ROLLSTEP_TIMEOUT=40s").Run("canary").
				Exits(3, append(test.says, "not ready in time: app-canary: 0 of 1 pods available", "→ If it only needs longer, raise ROLLSTEP_TIMEOUT", "rolled back")...)
			check()
		})
	}
}

// claim is a PersistentVolumeClaim of a storage class, "" for none.
func claim(class string) string {
	return "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: data}\nspec: {storageClassName: \"" + class +
		"\", accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}\n"
}
