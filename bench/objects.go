package main

import (
	"fmt"
	"strconv"
	"strings"
)

// small are kinds of small objects, as releases have them.
var small = []string{
	`apiVersion: v1
kind: ConfigMap
metadata: {name: NAME, labels: {app: shop, part: NAME}}
data: {LOG_LEVEL: info, DATABASE: "postgres://db/NAME", FEATURES: "a,b,c"}
`, `apiVersion: v1
kind: Secret
metadata: {name: NAME, labels: {app: shop, part: NAME}}
type: Opaque
data: {password: aHVudGVyMg==, token: c2VjcmV0LXRva2Vu}
`, `apiVersion: v1
kind: Service
metadata: {name: NAME, labels: {app: shop, part: NAME}}
spec: {selector: {app: shop, part: NAME}, ports: [{name: http, port: 80, targetPort: 8080}]}
`, `apiVersion: v1
kind: ServiceAccount
metadata: {name: NAME, labels: {app: shop, part: NAME}}
`, `apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: NAME, labels: {app: shop, part: NAME}}
rules: [{apiGroups: [""], resources: [configmaps], verbs: [get, list, watch]}]
`, `apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: NAME, labels: {app: shop, part: NAME}}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: reader}
subjects: [{kind: ServiceAccount, name: default, namespace: default}]
`}

// mixed is a file of n small objects of all kinds.
func mixed(n int) string {
	var text strings.Builder
	for i := range n {
		text.WriteString("---\n" + strings.ReplaceAll(small[i%len(small)], "NAME", fmt.Sprintf("part-%04d", i)))
	}
	return text.String()
}

// app is a Deployment behind a Service. tag says how the lab's pods behave.
func app(name string, pods int, tag string) string {
	return strings.NewReplacer("NAME", name, "PODS", strconv.Itoa(pods), "TAG", tag).Replace(`apiVersion: apps/v1
kind: Deployment
metadata: {name: NAME, labels: {app: NAME}}
spec:
  replicas: PODS
  selector: {matchLabels: {app: NAME}}
  strategy: {rollingUpdate: {maxSurge: 10%, maxUnavailable: 0}}
  template:
    metadata: {labels: {app: NAME}}
    spec:
      containers:
        - name: NAME
          image: registry.example.com/shop/app:TAG
          ports: [{containerPort: 5000}]
          readinessProbe: {httpGet: {path: /, port: 5000}}
---
apiVersion: v1
kind: Service
metadata: {name: NAME, labels: {app: NAME}}
spec: {selector: {app: NAME}, ports: [{port: 80, targetPort: 5000}]}
`)
}
