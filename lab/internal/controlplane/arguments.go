package controlplane

import "fmt"

// plan is what the parts' command lines are made from.
type plan struct {
	Settings
	etcdPort, etcdPeerPort, apiPort int
}

func (p plan) etcdArgs() []string {
	client := fmt.Sprintf("https://127.0.0.1:%d", p.etcdPort)
	peer := fmt.Sprintf("http://127.0.0.1:%d", p.etcdPeerPort)
	return []string{
		"--name=lab",
		"--data-dir=" + p.path("etcd"),
		"--listen-client-urls=" + client, "--advertise-client-urls=" + client,
		"--listen-peer-urls=" + peer, "--initial-advertise-peer-urls=" + peer,
		"--initial-cluster=lab=" + peer,
		"--cert-file=" + p.path("server.crt"), "--key-file=" + p.path("server.key"),
		"--client-cert-auth", "--trusted-ca-file=" + p.path("ca.crt"),
		// The data is thrown away at the end; nobody needs it to survive a power cut.
		"--unsafe-no-fsync",
		"--log-level=warn",
	}
}

func (p plan) apiServerArgs() []string {
	return []string{
		"--bind-address=127.0.0.1", "--advertise-address=127.0.0.1", fmt.Sprintf("--secure-port=%d", p.apiPort),
		// Endpoints must not hold loopback addresses, and nothing in the lab dials Service "kubernetes".
		"--endpoint-reconciler-type=none",
		fmt.Sprintf("--etcd-servers=https://127.0.0.1:%d", p.etcdPort),
		"--etcd-cafile=" + p.path("ca.crt"), "--etcd-certfile=" + p.path("client.crt"), "--etcd-keyfile=" + p.path("client.key"),
		"--tls-cert-file=" + p.path("server.crt"), "--tls-private-key-file=" + p.path("server.key"),
		"--cert-dir=" + p.Dir,
		"--client-ca-file=" + p.path("ca.crt"),
		"--authorization-mode=Node,RBAC",
		"--kubelet-certificate-authority=" + p.path("ca.crt"),
		"--kubelet-client-certificate=" + p.path("client.crt"), "--kubelet-client-key=" + p.path("client.key"),
		"--kubelet-preferred-address-types=InternalIP",
		"--egress-selector-config-file=" + p.path("egress.yaml"),
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-key-file=" + p.path("tokens.pub"), "--service-account-signing-key-file=" + p.path("tokens.key"),
		"--service-cluster-ip-range=10.96.0.0/16",
		"--service-node-port-range=" + p.NodePorts,
		"--allow-privileged=true",
	}
}

func (p plan) egressConfig() []byte {
	return fmt.Appendf(nil, `apiVersion: apiserver.k8s.io/v1beta1
kind: EgressSelectorConfiguration
egressSelections:
- name: cluster
  connection:
    proxyProtocol: HTTPConnect
    transport:
      tcp:
        url: https://127.0.0.1:%d
        tlsConfig:
          caBundle: %q
          clientCert: %q
          clientKey: %q
`, p.KubeletPort, p.path("ca.crt"), p.path("client.crt"), p.path("client.key"))
}

func (p plan) controllerManagerArgs() []string {
	return append(p.clientArgs(ControllerManager),
		// Pod addresses are given per pod, not from a range per node.
		"--controllers=*,-node-ipam-controller",
		// Pods here change within the same milliseconds. Each change that meets a
		// stale cache doubles the time until a Service's EndpointSlices are looked
		// at again, up to 17 minutes; changes that are taken together do not.
		"--endpointslice-updates-batch-period=50ms",
		// A ReplicaSet that meets its own writes too early counts as failed, and all
		// failed ones share ten tries a second: after a thousand pods, those that a
		// quota refused were not tried again for minutes.
		"--feature-gates=StaleControllerConsistencyReplicaSet=false",
		"--root-ca-file="+p.path("ca.crt"),
		"--service-account-private-key-file="+p.path("tokens.key"),
		"--cluster-signing-cert-file="+p.path("ca.crt"), "--cluster-signing-key-file="+p.path("ca.key"),
	)
}

func (p plan) schedulerArgs() []string {
	return p.clientArgs(Scheduler)
}

// clientArgs are those that controller manager and scheduler share. Deployments
// of a thousand pods should be quick, so their clients hardly limit themselves.
func (p plan) clientArgs(name string) []string {
	return []string{
		"--kubeconfig=" + p.path(name+".kubeconfig"),
		"--leader-elect=false",
		"--secure-port=0",
		"--kube-api-qps=1000", "--kube-api-burst=2000",
	}
}

func (p plan) kwokArgs() []string {
	return []string{
		"--kubeconfig=" + p.path(Kwok+".kubeconfig"),
		"--config=" + p.path("kwok.yaml"),
		"--manage-all-nodes=true",
		// Node leases are renewed each quarter of this, well within the
		// controller manager's grace period of 50 s.
		"--node-lease-duration-seconds=40",
	}
}
