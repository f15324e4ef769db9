package graph

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"os"
	"strings"
	"unicode/utf8"

	"github.com/99designs/gqlgen/graphql"

	"github.com/dezky/platform/platform"
)

// Bounds of a request's body.
const (
	longestBody = 1 << 20
	// deepestJSON bounds what walks the variables.
	deepestJSON = 64
)

// persistedQueries is the answer to clients that send hashes for documents, in
// the words by which they know to send the documents instead.
const persistedQueries platform.Code = "PERSISTED_QUERY_NOT_SUPPORTED"

// readParams reads the request's body, or says with which status it is refused.
// Nothing of the body is in the error.
func readParams(w http.ResponseWriter, r *http.Request) (*graphql.RawParams, int, error) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		return nil, http.StatusMethodNotAllowed, platform.Errorf(platform.Invalid, "Send GraphQL by POST.")
	}
	if err := readable(r); err != nil {
		w.Header().Set("Accept-Encoding", "identity")
		return nil, http.StatusUnsupportedMediaType, err
	}
	if len(r.TransferEncoding) > 0 {
		// Where the request had a length too, net/http no longer says so, and what
		// somebody between us took for its body would be our next request.
		w.Header().Set("Connection", "close")
	}
	if r.ContentLength > longestBody {
		return nil, http.StatusRequestEntityTooLarge, tooLongBody()
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, longestBody))
	tooLong := (*http.MaxBytesError)(nil)
	switch {
	case errors.As(err, &tooLong):
		return nil, http.StatusRequestEntityTooLarge, tooLongBody()
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, http.StatusRequestTimeout, platform.Errorf(platform.Invalid, "The request took too long to arrive.")
	case err != nil:
		return nil, http.StatusBadRequest, platform.Errorf(platform.Invalid, "The request broke off.")
	}
	params, err := decodeParams(body)
	if err != nil {
		return nil, http.StatusBadRequest, err
	}
	params.Headers = r.Header
	return params, 0, nil
}

func tooLongBody() error {
	return platform.Errorf(platform.Invalid, "A request has at most %d bytes.", longestBody)
}

// readable says whether the body is said to be JSON in UTF-8, as it is.
func readable(r *http.Request) error {
	kind, parameters, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	charset, encoding := parameters["charset"], r.Header.Get("Content-Encoding")
	if err != nil || kind != plainJSON || len(r.Header.Values("Content-Type")) > 1 ||
		charset != "" && !strings.EqualFold(charset, "utf-8") ||
		encoding != "" && !strings.EqualFold(encoding, "identity") {
		return platform.Errorf(platform.Invalid, "Send application/json in UTF-8, as it is.")
	}
	return nil
}

// decodeParams reads the four members of a request. Each may be there once; what
// else is there is not looked at.
func decodeParams(body []byte) (*graphql.RawParams, error) {
	unreadable := platform.Errorf(platform.Invalid, "The body is no GraphQL request in JSON.")
	switch first := bytes.TrimLeft(body, " \t\r\n"); {
	case len(first) > 0 && first[0] == '[':
		return nil, platform.Errorf(platform.Invalid, "Send one operation a request.")
	case !utf8.Valid(body):
		return nil, platform.Errorf(platform.Invalid, "The body is not UTF-8.")
	case tooDeep(body):
		return nil, platform.Errorf(platform.Invalid, "The body is nested too deeply.")
	}
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	if open, err := decoder.Token(); err != nil || open != json.Delim('{') {
		return nil, unreadable
	}
	var params graphql.RawParams
	members := map[string]any{
		"query": &params.Query, "operationName": &params.OperationName,
		"variables": &params.Variables, "extensions": &params.Extensions,
	}
	seen := map[string]bool{}
	for decoder.More() {
		name, err := decoder.Token()
		if err != nil {
			return nil, unreadable
		}
		member, _ := name.(string)
		into, known := members[member]
		if !known {
			into = new(json.RawMessage)
		} else if seen[member] {
			return nil, platform.Errorf(platform.Invalid, "The request names %s twice.", member)
		}
		seen[member] = known
		if err := decoder.Decode(into); err != nil {
			if wrong := (*json.UnmarshalTypeError)(nil); errors.As(err, &wrong) {
				return nil, platform.Errorf(platform.Invalid, "The member %s is of the wrong type.", member)
			}
			return nil, unreadable
		}
	}
	if _, err := decoder.Token(); err != nil { // the closing brace
		return nil, unreadable
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) { // a second value
		return nil, unreadable
	}
	switch {
	case params.Extensions["persistedQuery"] != nil:
		return nil, platform.Errorf(persistedQueries, "PersistedQueryNotSupported")
	case params.Query == "":
		return nil, platform.Errorf(platform.Invalid, "The request has no query.")
	}
	return &params, nil
}

// tooDeep says whether arrays and objects nest deeper than any request needs.
// What is no JSON is told so later.
func tooDeep(body []byte) bool {
	depth, text := 0, false
	for i := 0; i < len(body); i++ {
		switch c := body[i]; {
		case text && c == '\\':
			i++
		case c == '"':
			text = !text
		case text:
		case c == '[', c == '{':
			if depth++; depth > deepestJSON {
				return true
			}
		case c == ']', c == '}':
			depth--
		}
	}
	return false
}
