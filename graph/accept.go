package graph

import (
	"mime"
	"net/http"
	"strconv"
	"strings"
)

// The media types of answers (GraphQL over HTTP).
const (
	plainJSON    = "application/json"
	responseJSON = "application/graphql-response+json"
)

// answerKind is the media type of the answer, or "" where the client takes
// neither. Without a wish it is application/json, which every client knows.
func answerKind(r *http.Request) string {
	if strings.TrimSpace(strings.Join(r.Header.Values("Accept"), "")) == "" {
		return plainJSON
	}
	plain, _ := quality(r, plainJSON)
	response, named := quality(r, responseJSON)
	switch {
	case response > 0 && (response > plain || named && response == plain):
		return responseJSON
	case plain > 0:
		return plainJSON
	}
	return ""
}

// quality is how much the client likes a media type, from 0 to 1, by the most
// precise of the ranges that it gives; named says that one gives its very name.
func quality(r *http.Request, kind string) (q float64, named bool) {
	group, _, _ := strings.Cut(kind, "/")
	precise := 0
	for _, header := range r.Header.Values("Accept") {
		for entry := range strings.SplitSeq(header, ",") {
			media, parameters, err := mime.ParseMediaType(entry)
			if err != nil {
				continue
			}
			rank := map[string]int{kind: 3, group + "/*": 2, "*/*": 1}[media]
			if rank == 0 || rank < precise {
				continue
			}
			weight := 1.0
			if written, given := parameters["q"]; given {
				if weight, err = strconv.ParseFloat(written, 64); err != nil || !(weight >= 0 && weight <= 1) {
					continue
				}
			}
			if rank > precise {
				precise, q = rank, 0
			}
			q = max(q, weight)
		}
	}
	return q, precise == 3
}
