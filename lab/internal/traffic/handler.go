package traffic

import (
	"fmt"
	"net/http"
	"strings"
)

// handler serves the traffic listener: /NAMESPACE/SERVICE[:PORT]/…, /counts,
// and the restart of the API server.
func (t *Traffic) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /counts", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, t.counts.all())
	})
	mux.HandleFunc("DELETE /counts/{namespace}/{service}", func(w http.ResponseWriter, r *http.Request) {
		t.counts.reset(r.PathValue("namespace") + "/" + r.PathValue("service"))
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("POST /restart/kube-apiserver", t.restart)
	mux.HandleFunc("/", t.byPath)
	return mux
}

// restart answers once the API server is there again.
func (t *Traffic) restart(w http.ResponseWriter, r *http.Request) {
	if err := t.Restart(r.Context()); err != nil {
		writeJSON(w, http.StatusInternalServerError, failure{err.Error()})
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func (t *Traffic) byPath(w http.ResponseWriter, r *http.Request) {
	parts := strings.SplitN(strings.TrimPrefix(r.URL.Path, "/"), "/", 3)
	if len(parts) < 2 || parts[1] == "" {
		writeJSON(w, http.StatusNotFound, failure{"ask for /NAMESPACE/SERVICE/, or /counts"})
		return
	}
	name, wanted, _ := strings.Cut(parts[1], ":")
	service, err := t.services.Services(parts[0]).Get(name)
	if err != nil {
		writeJSON(w, http.StatusNotFound, failure{fmt.Sprintf("service %s/%s does not exist", parts[0], name)})
		return
	}
	port, ok := findPort(service, wanted)
	if !ok {
		writeJSON(w, http.StatusNotFound, failure{fmt.Sprintf("service %s/%s has no port %q", parts[0], name, wanted)})
		return
	}
	t.respond(w, service, port)
}
