package stage

import (
	"encoding/json"
	"fmt"
	"net/http"
)

// ControlPath is where a hosted stand-in is told to fail. No system that is
// played has a path like it.
const ControlPath = "/-/stage"

// kinds are the ways to fail, as people write them.
func kinds() map[string]Kind {
	return map[string]Kind{
		"answer": Answer, "nothing": Nothing, "reset": Reset, "lost": Lost, "half": Half, "drip": Drip, "flood": Flood,
	}
}

// order is a fault as it is asked for over HTTP.
type order struct {
	Kind   string            `json:"kind"`
	On     string            `json:"on"`
	Times  int               `json:"times"`
	Status int               `json:"status"`
	Header map[string]string `json:"header"`
	Body   string            `json:"body"`
}

// Control puts beside a stand-in a way to play with it by hand: POST adds a
// fault, DELETE takes all away, GET lists the labels of the calls so far. It is
// for development, where whoever reaches the stand-in may do all with it.
func (s *Stage) Control(next http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", next)
	mux.HandleFunc("GET "+ControlPath, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(map[string]any{"calls": append([]string{}, s.Calls()...)}) //nolint:errcheck // texts are always written
	})
	mux.HandleFunc("DELETE "+ControlPath, func(w http.ResponseWriter, _ *http.Request) {
		s.Heal()
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("POST "+ControlPath, func(w http.ResponseWriter, r *http.Request) {
		asked := order{Kind: "answer"}
		in := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<20))
		in.DisallowUnknownFields()
		err := in.Decode(&asked)
		kind, known := kinds()[asked.Kind]
		switch {
		case err != nil:
		case !known:
			err = fmt.Errorf("there is no way to fail called %q", asked.Kind)
		case kind == Answer && (asked.Status < 200 || asked.Status > 599):
			err = fmt.Errorf("an answer has a status from 200 to 599, and not %d", asked.Status)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		s.Fail(Fault{Kind: kind, On: asked.On, Times: asked.Times, Status: asked.Status, Header: asked.Header, Body: asked.Body})
		w.WriteHeader(http.StatusNoContent)
	})
	return mux
}
