package graph_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/dezky/platform/graph"
)

// mutation would make a tenant, if it ran.
const mutation = `{"query":"mutation { createTenant(input: {slug: \"forged\", name: \"Forged\"}) { tenant { id } } }"}`

// notForged checks that mutation did not run.
func notForged(t *testing.T, w *world) {
	t.Helper()
	if _, err := w.Platform.Reader().TenantBySlug(t.Context(), "forged"); err == nil {
		t.Error("the mutation ran")
	}
}

// TestHTTPAttacks has what a single HTTP request can do: rows 25, 28 to 38, 43,
// 44 and 48.
func TestHTTPAttacks(t *testing.T) {
	const query = `{"query":"{ __typename }"}`
	var bomb bytes.Buffer
	zip, err := gzip.NewWriterLevel(&bomb, gzip.BestSpeed)
	if err != nil {
		t.Fatal(err)
	}
	for range 64 {
		zip.Write(make([]byte, 1<<20))
	}
	zip.Close()
	multipart := "--x\r\nContent-Disposition: form-data; name=\"operations\"\r\n\r\n" + mutation + "\r\n--x\r\nContent-Disposition: form-data; name=\"map\"\r\n\r\n{}\r\n--x--\r\n"
	persisted := func(query, version, hash string) string {
		return `{` + query + `"extensions":{"persistedQuery":{"version":` + version + `,"sha256Hash":` + hash + `}}}`
	}
	const typename, hash = `"query":"{ __typename }",`, `"7f56e67dd21ab3f30d1ff8b7bed08893f0a0db86449836189b361dd1e56ddb4b"`
	const apq = "PERSISTED_QUERY_NOT_SUPPORTED"

	type request struct {
		method, body string
		headers      []string
		status       int
		code         string
		header       [2]string // that the answer has
	}
	cases := map[string]request{
		"28 1,000 operations":       {body: "[" + strings.TrimSuffix(strings.Repeat(query+",", 1000), ",") + "]", status: 400, code: invalid},
		"28 one operation":          {body: "[" + query + "]", status: 400, code: invalid},
		"28 none":                   {body: "[]", status: 400, code: invalid},
		"28 nested":                 {body: "[[" + query + "]]", status: 400, code: invalid},
		"28 mixed":                  {body: "[" + query + `,1,null,"x"]`, status: 400, code: invalid},
		"28 behind blanks":          {body: " \n\t[" + mutation + "]", status: 400, code: invalid},
		"29 GET":                    {method: "GET", status: 405, code: invalid, header: [2]string{"Allow", "POST"}},
		"29 GET with a body":        {method: "GET", body: mutation, status: 405, code: invalid, header: [2]string{"Allow", "POST"}},
		"29 GET overridden":         {method: "GET", body: mutation, headers: []string{"X-HTTP-Method-Override", "POST", "X-HTTP-Method", "POST", "X-Method-Override", "POST"}, status: 405, code: invalid, header: [2]string{"Allow", "POST"}},
		"29 HEAD":                   {method: "HEAD", status: 405, header: [2]string{"Allow", "POST"}},
		"30 text":                   {body: mutation, headers: []string{"Content-Type", "text/plain"}, status: 415, code: invalid},
		"30 a form":                 {body: "query=mutation", headers: []string{"Content-Type", "application/x-www-form-urlencoded"}, status: 415, code: invalid},
		"30 JSON called a form":     {body: mutation, headers: []string{"Content-Type", "application/x-www-form-urlencoded"}, status: 415, code: invalid},
		"30 nothing":                {body: mutation, headers: []string{"Content-Type", ""}, status: 415, code: invalid},
		"30 GraphQL":                {body: "{ __typename }", headers: []string{"Content-Type", "application/graphql"}, status: 415, code: invalid},
		"30 a look-alike":           {body: mutation, headers: []string{"Content-Type", "application/json5"}, status: 415, code: invalid},
		"30 two types":              {body: mutation, headers: []string{"Content-Type", "text/plain, application/json"}, status: 415, code: invalid},
		"30 text that says JSON":    {body: mutation, headers: []string{"Content-Type", "text/plain; x=application/json"}, status: 415, code: invalid},
		"30 another charset":        {body: mutation, headers: []string{"Content-Type", "application/json; charset=utf-16"}, status: 415, code: invalid},
		"31 a multipart form":       {body: multipart, headers: []string{"Content-Type", "multipart/form-data; boundary=x"}, status: 415, code: invalid},
		"33 a bomb":                 {body: bomb.String(), headers: []string{"Content-Encoding", "gzip"}, status: 415, code: invalid, header: [2]string{"Accept-Encoding", "identity"}},
		"33 a bomb, hidden":         {body: bomb.String(), status: 400, code: invalid},
		"33 deflate":                {body: query, headers: []string{"Content-Encoding", "deflate"}, status: 415, code: invalid},
		"35 invalid UTF-8":          {body: "{\"query\":\"{ __typename } #\xff\xfe\"}", status: 400, code: invalid},
		"35 overlong UTF-8":         {body: "{\"query\":\"{ __typename } #\xc0\xaf\"}", status: 400, code: invalid},
		"35 in a variable":          {body: "{\"query\":\"{ __typename }\",\"variables\":{\"a\":\"\xed\xa0\x80\"}}", status: 400, code: invalid},
		"25 a byte order mark":      {body: "\ufeff" + query, status: 400, code: invalid},
		"25 UTF-16":                 {body: "\xff\xfe{\x00}\x00", status: 400, code: invalid},
		"36 query is a number":      {body: `{"query":1}`, status: 400, code: invalid},
		"36 query is null":          {body: `{"query":null}`, status: 400, code: invalid},
		"36 query is a list":        {body: `{"query":["{ __typename }"]}`, status: 400, code: invalid},
		"36 query is an object":     {body: `{"query":{"a":"{ __typename }"}}`, status: 400, code: invalid},
		"36 query is empty":         {body: `{"query":""}`, status: 400, code: invalid},
		"36 query is missing":       {body: `{}`, status: 400, code: invalid},
		"36 name is a number":       {body: `{"query":"{ __typename }","operationName":1}`, status: 400, code: invalid},
		"36 name is a list":         {body: `{"query":"{ __typename }","operationName":[]}`, status: 400, code: invalid},
		"36 name is null":           {body: `{"query":"{ __typename }","operationName":null}`, status: 200},
		"36 variables are a list":   {body: `{"query":"{ __typename }","variables":[]}`, status: 400, code: invalid},
		"36 variables are a text":   {body: `{"query":"{ __typename }","variables":"{}"}`, status: 400, code: invalid},
		"36 variables are null":     {body: `{"query":"{ __typename }","variables":null}`, status: 200},
		"36 extensions are a list":  {body: `{"query":"{ __typename }","extensions":[]}`, status: 400, code: invalid},
		"36 extensions are a text":  {body: `{"query":"{ __typename }","extensions":"x"}`, status: 400, code: invalid},
		"36 extensions are null":    {body: `{"query":"{ __typename }","extensions":null}`, status: 200},
		"37 deep variables":         {body: `{"query":"{ __typename }","variables":{"a":` + strings.Repeat("[", 200_000) + strings.Repeat("]", 200_000) + `}}`, status: 400, code: invalid},
		"37 deep objects":           {body: `{"query":"{ __typename }","variables":` + strings.Repeat(`{"a":`, 100_000) + "1" + strings.Repeat("}", 100_000) + `}`, status: 400, code: invalid},
		"37 60 levels":              {body: `{"query":"{ __typename }","variables":{"a":` + strings.Repeat("[", 60) + strings.Repeat("]", 60) + `}}`, status: 200},
		"37 1 MiB":                  {body: `{"query":"{ __typename }","variables":{"a":"` + strings.Repeat("a", 1<<20-100) + `"}}`, status: 200},
		"37 100,000 keys":           {body: `{"query":"{ __typename }","variables":{"a":1` + many(80_000, `,"%":1`) + `}}`, status: 200},
		"38 PUT":                    {method: "PUT", body: mutation, status: 405, code: invalid, header: [2]string{"Allow", "POST"}},
		"38 DELETE":                 {method: "DELETE", body: mutation, status: 405, code: invalid, header: [2]string{"Allow", "POST"}},
		"38 PATCH":                  {method: "PATCH", body: mutation, status: 405, code: invalid, header: [2]string{"Allow", "POST"}},
		"38 TRACE":                  {method: "TRACE", headers: []string{"X-Canary", "s3cret"}, status: 405, code: invalid, header: [2]string{"Allow", "POST"}},
		"38 OPTIONS":                {method: "OPTIONS", status: 405, code: invalid, header: [2]string{"Allow", "POST"}},
		"38 a method of one's own":  {method: "BREW", body: mutation, status: 405, code: invalid, header: [2]string{"Allow", "POST"}},
		"43 a script":               {body: `{"query":"{ <script>alert(1)</script> }"}`, status: 200, code: unread},
		"43 a script as a name":     {body: `{"query":"query($a: script) { script }","operationName":"<script>alert(1)</script>"}`, status: 200, code: unsound},
		"44 a hash alone":           {body: persisted("", "1", hash), status: 400, code: apq},
		"44 bound to another":       {body: persisted(typename, "1", hash), status: 400, code: apq},
		"44 an odd hash":            {body: persisted(typename, "1", `"../../etc/passwd"`), status: 400, code: apq},
		"44 a number as hash":       {body: persisted(typename, "1", `7`), status: 400, code: apq},
		"44 another version":        {body: persisted(typename, `"x"`, hash), status: 400, code: apq},
		"44 no object":              {body: `{"query":"{ __typename }","extensions":{"persistedQuery":true}}`, status: 400, code: apq},
		"48 a name of 1 MiB":        {body: `{"query":"{ __typename }","operationName":"` + strings.Repeat("a", 1<<20) + `"}`, status: 413, code: invalid},
		"48 a name of 900 KB":       {body: `{"query":"{ __typename }","operationName":"` + strings.Repeat("a", 900_000) + `"}`, status: 200, code: unsound},
		"48 odd extensions":         {body: `{"query":"{ __typename }","extensions":{"a":[1,{"b":null}],"tracing":true}}`, status: 200},
		"48 odd members":            {body: `{"query":"{ __typename }","doc_id":1,"QUERY":"{ me { id } }","Variables":7,"":{}}`, status: 200},
		"48 two queries":            {body: `{"query":"{ __typename }","query":"mutation { x }"}`, status: 400, code: invalid},
		"48 two queries, escaped":   {body: `{"query":"{ __typename }","qu\u0065ry":"mutation { x }"}`, status: 400, code: invalid},
		"48 two lots of variables":  {body: `{"query":"{ __typename }","variables":{},"variables":{}}`, status: 400, code: invalid},
		"48 a variable twice":       {body: `{"query":"query($n: Int) { tenants(first: $n) { nodes { id } } }","variables":{"n":1,"n":2147483647}}`, status: 401, code: "UNAUTHENTICATED"},
		"48 a variable, twice, big": {body: `{"query":"query($n: Int) { tenants(first: $n) { nodes { members(first: $n) { nodes { id role } } } } }","variables":{"n":1,"n":100}}`, status: 200, code: unsound},
	}
	for i, body := range []string{
		"", " ", "{", "}", `{"query"`, `{"query":`, `{"query":"s3cret`, `{"query":"s3cret"`, `{'query':'s3cret'}`, `{"query":"s3cret",}`,
		`{"query":"s3cret"}{"query":"s3cret"}`, `{"query":"s3cret"} s3cret`, `"s3cret"`, `null`, `true`, `12`, `{query:"s3cret"}`, `{"query":"s3cret" "a":1}`,
		`{"query":"s3cret","variables":{]}`, `{"query":"s3cret","variables":NaN}`, "{\"query\":\"s3\ncret\"}", `{"query":"\x"}`, `{"query":"s3cret","a":01}`, "\x00{}", `//s3cret`,
	} {
		cases[fmt.Sprintf("34 malformed %d", i)] = request{body: body, status: 400, code: invalid}
	}
	w := newWorld(t)
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if c.method == "" {
				c.method = http.MethodPost
			}
			who := ""
			if strings.Contains(c.body, "mutation") {
				who = "operator" // who may, if it ran
			}
			got := w.Do(t, c.method, who, strings.NewReader(c.body), c.headers...)
			harmless(t, got)
			if got.Status != c.status {
				t.Errorf("status %d, want %d: %.200s", got.Status, c.status, got.Body)
			}
			if c.header[0] != "" && got.Header.Get(c.header[0]) != c.header[1] {
				t.Errorf("%s is %q", c.header[0], got.Header.Get(c.header[0]))
			}
			if c.method != http.MethodHead {
				checkCode(t, got, c.code)
			}
			for _, echoed := range []string{"s3cret", "forged", "<script>", "aaaaaaaaaa"} {
				if strings.Contains(got.Body, echoed) {
					t.Errorf("the answer repeats %q: %.300s", echoed, got.Body)
				}
			}
		})
	}
	notForged(t, w)
}

func checkCode(t *testing.T, got answer, want string) {
	t.Helper()
	var out map[string]json.RawMessage
	var errors []struct {
		Extensions map[string]any `json:"extensions"`
	}
	if err := json.Unmarshal([]byte(got.Body), &out); err != nil {
		t.Fatalf("no JSON: %.200s", got.Body)
	}
	if out["errors"] != nil {
		if err := json.Unmarshal(out["errors"], &errors); err != nil || len(errors) == 0 {
			t.Fatalf("no errors: %.200s", got.Body)
		}
	}
	code := ""
	if len(errors) > 0 {
		code = fmt.Sprint(errors[0].Extensions["code"])
	}
	if code != want {
		t.Errorf("code %q, want %q: %.300s", code, want, got.Body)
	}
	if _, has := out["data"]; has && (got.Status == http.StatusBadRequest || code == unsound || code == unread) {
		t.Errorf("a request that was not run has data: %.200s", got.Body)
	}
}

// TestLongBodies is row 32: with a length, and without one.
func TestLongBodies(t *testing.T) {
	w := newWorld(t)
	body := `{"query":"{ __typename }","variables":{"a":"` + strings.Repeat("a", 8<<20) + `"}}`
	for name, reader := range map[string]io.Reader{"length": strings.NewReader(body), "chunked": struct{ io.Reader }{strings.NewReader(body)}} {
		got, err := w.Try(t, http.MethodPost, "", reader)
		if err != nil {
			t.Logf("%s: the connection was cut before the body was sent: %v", name, err)
			continue
		}
		harmless(t, got)
		if got.Status != http.StatusRequestEntityTooLarge {
			t.Errorf("%s: %d %.100s", name, got.Status, got.Body)
		}
	}
	small := struct{ io.Reader }{strings.NewReader(`{"query":"{ __typename }"}`)}
	if got := w.Do(t, http.MethodPost, "", small); got.Status != http.StatusOK {
		t.Errorf("a small body without a length: %d", got.Status)
	}
}

// TestMediaTypes has what is agreed on about answers.
func TestMediaTypes(t *testing.T) {
	const plain, response = "application/json; charset=utf-8", "application/graphql-response+json; charset=utf-8"
	w := newWorld(t)
	for accept, want := range map[string]string{
		"":                                  plain,
		"*/*":                               plain,
		"application/*":                     plain,
		"application/json":                  plain,
		"application/json; charset=utf-8":   plain,
		"APPLICATION/JSON":                  plain,
		"application/graphql-response+json": response,
		"application/graphql-response+json; charset=utf-8":                     response,
		"application/graphql-response+json, application/json;q=0.9":            response,
		"application/graphql-response+json, application/json, multipart/mixed": response,
		"application/json, application/graphql-response+json":                  response,
		"application/json, application/graphql-response+json;q=0.5":            plain,
		"application/json;q=0.5, */*":                                          response,
		"application/graphql-response+json;q=0, */*":                           plain,
		"application/json;q=0, */*":                                            response,
		"application/json;q=0, application/graphql-response+json;q=0, */*":     "",
		"text/html, application/xhtml+xml, */*;q=0.8":                          plain,
		"text/html":                       "",
		"image/*":                         "",
		"application/json;q=0":            "",
		"application/json;q=2":            "",
		"application/json;q=NaN":          "",
		"not a media type":                "",
		"text/html, application/json;q=x": "",
	} {
		t.Run(accept, func(t *testing.T) {
			got := w.Post(t, "", `{"query":"{ __typename }"}`, "Accept", accept)
			harmless(t, got)
			status := http.StatusOK
			if want == "" {
				status, want = http.StatusNotAcceptable, plain
			}
			if got.Status != status || got.Header.Get("Content-Type") != want {
				t.Errorf("got %d %s", got.Status, got.Header.Get("Content-Type"))
			}
		})
	}
	for name, c := range map[string]struct {
		body             string
		plain, responses int
	}{
		"a broken document":     {`{"query":"{"}`, 200, 400},
		"an invalid one":        {`{"query":"{ nothing }"}`, 200, 400},
		"a wrong variable":      {`{"query":"query($n: Int!) { tenants(first: $n) { totalCount } }","variables":{"n":"x"}}`, 200, 400},
		"too much":              {`{"query":"{ a { a { a { a { a { a { a { a { a { a { a { a { a { a { a { a } } } } } } } } } } } } } } } }"}`, 200, 400},
		"no caller":             {`{"query":"{ me { isOperator } }"}`, 401, 401},
		"a request that is not": {`{"query":7}`, 400, 400},
		"a subscription":        {`{"query":"subscription { provisioningFeed { sequence } }"}`, 200, 400},
	} {
		for kind, status := range map[string]int{"application/json": c.plain, "application/graphql-response+json": c.responses} {
			got := w.Post(t, "", c.body, "Accept", kind)
			harmless(t, got)
			if got.Status != status || !strings.HasPrefix(got.Header.Get("Content-Type"), kind+";") {
				t.Errorf("%s as %s: %d %s", name, kind, got.Status, got.Header.Get("Content-Type"))
			}
			if name != "no caller" && strings.Contains(got.Body, `"data"`) {
				t.Errorf("%s as %s has data: %s", name, kind, got.Body)
			}
		}
	}
	if got := w.Post(t, "", `{"query":7}`, "Accept", "text/html"); got.Status != http.StatusBadRequest {
		t.Errorf("a request that is not, for nobody: %d", got.Status)
	}
}

// TestOrigins is row 41.
func TestOrigins(t *testing.T) {
	const friend = "https://app.example.com"
	closed := newWorld(t)
	open := newWorld(t, func(o *graph.Options, _ *graph.Limits) { o.Origins = []string{friend} })
	granted := func(got answer) string { return got.Header.Get("Access-Control-Allow-Origin") }
	preflight := []string{"Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "authorization,content-type"}
	for _, origin := range []string{
		friend, "null", "https://evil.example", "https://app.example.com.evil.example", "https://evilapp.example.com", "http://app.example.com",
		"https://app.example.com:8443", "https://app.example.com/", "HTTPS://APP.EXAMPLE.COM", "https://app.example.com, https://evil.example", "*", closed.URL,
	} {
		for name, w := range map[string]*world{"closed": closed, "open": open} {
			answers := map[string]answer{
				"POST":      w.Post(t, "", `{"query":"{ __typename }"}`, "Origin", origin),
				"preflight": w.Do(t, http.MethodOptions, "", nil, append([]string{"Origin", origin}, preflight...)...),
			}
			for what, got := range answers {
				want := ""
				if name == "open" && origin == friend {
					want = friend
				}
				if granted(got) != want || got.Header.Get("Access-Control-Allow-Credentials") != "" {
					t.Errorf("%s to the %s one from %q: granted to %q", what, name, origin, granted(got))
				}
				if name == "open" && got.Header.Get("Vary") != "Origin" {
					t.Errorf("%s from %q may be cached for others", what, origin)
				}
			}
		}
	}
	got := open.Do(t, http.MethodOptions, "", nil, append([]string{"Origin", friend}, preflight...)...)
	if got.Status != http.StatusNoContent || got.Header.Get("Access-Control-Allow-Methods") != "POST" || got.Body != "" {
		t.Errorf("a friend's preflight: %d %v", got.Status, got.Header)
	}
	if got := open.Do(t, http.MethodOptions, "", nil, "Origin", friend); got.Status != http.StatusMethodNotAllowed {
		t.Errorf("OPTIONS that is no preflight: %d", got.Status)
	}
}
