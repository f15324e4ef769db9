package standin

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dezky/platform/platform"
	"github.com/dezky/platform/platform/clocktest"
)

// stand is a server with three domains, b, c and d, of which d makes its own
// keys.
func stand(t *testing.T) (*Server, *clocktest.Clock) {
	t.Helper()
	clock := clocktest.New(time.Date(2026, 11, 23, 15, 0, 0, 0, time.UTC))
	s, err := New(Options{Admin: platform.NewSecret("admin:secret"), Clock: clock})
	if err != nil {
		t.Fatal(err)
	}
	call(t, s, `["x:Domain/set",{"create":{
		"1":{"name":"b.test","description":"Firma Bär","dkimManagement":{"@type":"Manual"}},
		"2":{"name":"c.test","aliases":{"alias.test":true},"dkimManagement":{"@type":"Manual"}},
		"3":{"name":"d.test"}}},"0"]`)
	return s, clock
}

// call makes method calls and answers with their responses.
func call(t *testing.T, s *Server, calls string) []any {
	t.Helper()
	body := `{"using":["urn:ietf:params:jmap:core","urn:stalwart:jmap"],"methodCalls":[` + calls + `]}`
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/jmap", strings.NewReader(body))
	r.SetBasicAuth("admin", "secret")
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	var answer struct{ MethodResponses []any }
	if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil || w.Code != http.StatusOK {
		t.Fatalf("%s: %d %s %v", body, w.Code, w.Body, err)
	}
	return answer.MethodResponses
}

// Beside what was recorded, the manual's traps; their sources are in the
// contract of the mail server.
func TestTraps(t *testing.T) {
	many := strings.TrimSuffix(strings.Repeat(`"b",`, 501), ",")
	query := func(position int, ids string) string {
		return fmt.Sprintf(`[["x:Domain/query",{"accountId":"d333333","queryState":"n","canCalculateChanges":true,"position":%d,"ids":[%s]},"0"]]`, position, ids)
	}
	refused := func(what, id, reason string) string {
		return `[["x:Domain/set",{"accountId":"d333333","` + what + `":{"` + id + `":` + reason + `}},"0"]]`
	}
	updated := `["x:Domain/set",{"accountId":"d333333","updated":{"b":null}},"0"]`
	for name, tt := range map[string]struct{ reason, calls, want string }{
		"first page without a sort": {
			"the lowest ids, and only then turned round",
			`["x:Domain/query",{"limit":2},"0"]`, query(0, `"c","b"`),
		},
		"position 0": {
			"takes the other path, and so the highest ids",
			`["x:Domain/query",{"limit":2,"position":0},"0"]`, strings.Replace(query(0, `"d","c"`), `]},`, `],"limit":2},`, 1),
		},
		"anchor on the fast path": {
			"the anchor is not on the page",
			`["x:Domain/query",{"sort":[{"property":"id"}],"anchor":"b","limit":1},"0"]`, query(0, `"c"`),
		},
		"anchor that is gone": {
			"is noticed on the slow path only",
			`["x:Domain/query",{"anchor":"zz","calculateTotal":true},"0"]`, `[["error",{"type":"anchorNotFound"},"0"]]`,
		},
		"sort by name": {
			"has an index", `["x:Domain/query",{"sort":[{"property":"name","isAscending":false}]},"0"]`, query(0, `"d","c","b"`),
		},
		"text": {
			"finds whole words", `["x:Domain/query",{"filter":{"text":"bär firma x"}},"0"]`, query(0, `"b"`),
		},
		"text, half a word": {
			"finds no parts of words", `["x:Domain/query",{"filter":{"text":"firm"}},"0"]`, query(0, ``),
		},
		"filter by alias": {
			"is exact", `["x:Domain/query",{"filter":{"operator":"AND","conditions":[{"aliases":"alias.test"},{"name":"c.test"}]}},"0"]`, query(0, `"c"`),
		},
		"filter with OR": {
			"knows AND alone", `["x:Domain/query",{"filter":{"operator":"OR","conditions":[]}},"0"]`,
			`[["error",{"type":"unsupportedFilter","description":"Only AND is supported in filters"},"0"]]`,
		},
		"filter that no object has": {
			"names the key alone", `["x:Domain/query",{"filter":{"nope":"x"}},"0"]`,
			`[["error",{"type":"unsupportedFilter","description":"nope"},"0"]]`,
		},
		"key of a domain that no id can be": {
			"an id filter must parse", `["x:DkimSignature/query",{"filter":{"domainId":"!"}},"0"]`,
			`[["error",{"type":"unsupportedFilter","description":"Filter on property domainId is not supported or invalid"},"0"]]`,
		},
		"501 objects": {
			"500 are the most", `["x:Domain/get",{"ids":[` + many + `]},"0"]`,
			`[["error",{"type":"requestTooLarge","description":"The number of ids requested by the client exceeds the maximum number the server is willing to process in a single method call."},"0"]]`,
		},
		"a failure between calls": {
			"later calls go on, and a list of a result is a reference",
			`["x:Domain/get",{"ids":["c"],"properties":["name"]},"a"],["x:Domain/nope",{},"b"],
				["x:Domain/set",{"#destroy":{"resultOf":"a","name":"x:Domain/get","path":"/list/*/id"}},"c"]`,
			`[["x:Domain/get",{"accountId":"d333333","list":[{"id":"c","name":"c.test"}],"notFound":[]},"a"],
				["error",{"type":"unknownMethod","description":"x:Domain/nope"},"b"],
				["x:Domain/set",{"accountId":"d333333","destroyed":["c"]},"c"]]`,
		},
		"a result that is not there": {
			"the call fails as a whole", `["x:Domain/get",{"#ids":{"resultOf":"9","name":"x:Domain/query","path":"/ids"}},"0"]`,
			`[["error",{"type":"invalidResultReference","description":"Failed to evaluate /ids result reference."},"0"]]`,
		},
		"a creation in the same request": {
			"its id is known from then on",
			`["x:Domain/set",{"create":{"n":{"name":"new.test"}}},"0"],["x:Domain/set",{"destroy":["#n"]},"1"]`,
			`[["x:Domain/set",{"accountId":"d333333","created":{"n":{"id":"e"}}},"0"],["x:Domain/set",{"accountId":"d333333","destroyed":["e"]},"1"]]`,
		},
		"a creation that is not there, in a property": {
			"the call fails as a whole", `["x:Domain/set",{"create":{"n":{"name":"new.test","directoryId":"#x"}}},"0"]`,
			`[["error",{"type":"invalidResultReference","description":"Invalid reference to non-existing object \"x\" from \"n\""},"0"]]`,
		},
		"a creation that is not there, as an id": {
			"the call fails as a whole", `["x:Domain/set",{"update":{"#x":{"description":"x"}}},"0"]`,
			`[["error",{"type":"invalidResultReference","description":"Id reference \"x\" not found."},"0"]]`,
		},
		"name that is an alias": {
			"names and aliases share one space", `["x:Domain/set",{"create":{"n":{"name":"alias.test"}}},"0"]`,
			refused("notCreated", "n", `{"type":"primaryKeyViolation","properties":["name"],"objectId":{"object":"Domain","id":"c"}}`),
		},
		"alias that is a name": {
			"names and aliases share one space", `["x:Domain/set",{"update":{"b":{"aliases/c.test":true}}},"0"]`,
			refused("notUpdated", "b", `{"type":"primaryKeyViolation","properties":["aliases"],"objectId":{"object":"Domain","id":"c"}}`),
		},
		"unknown tenant": {
			"what is referred to must be there", `["x:Domain/set",{"update":{"b":{"memberTenantId":"zz"}}},"0"]`,
			refused("notUpdated", "b", `{"type":"invalidForeignKey","objectId":{"object":"Tenant","id":"zz"}}`),
		},
		"update and destroy at once": {
			"the update is not done", `["x:Domain/set",{"update":{"b":{"description":"x"}},"destroy":["b"]},"0"]`,
			`[["x:Domain/set",{"accountId":"d333333","notUpdated":{"b":{"type":"willDestroy"}},"destroyed":["b"]},"0"]]`,
		},
		"paths": {
			"go into sets and into the present variant of a union; ~1 is a slash",
			`["x:Domain/set",{"update":{"b":{"aliases/x~1y.test":true,"aliases/z.test":null,"dkimManagement":{"@type":"Automatic"}}}},"0"],
				["x:Domain/set",{"update":{"b":{"dkimManagement/rotateAfter":1000}}},"0"],
				["x:Domain/get",{"ids":["b"],"properties":["aliases","dkimManagement"]},"1"]`,
			`[` + updated + `,` + updated + `,["x:Domain/get",{"accountId":"d333333","notFound":[],"list":[{"id":"b","aliases":{"x/y.test":true},
				"dkimManagement":{"@type":"Automatic","algorithms":{"Dkim1Ed25519Sha256":true,"Dkim1RsaSha256":true},"deleteAfter":2592000000,
				"retireAfter":604800000,"rotateAfter":1000,"selectorTemplate":"v{version}-{algorithm}-{date-%Y%m%d}"}}]},"1"]]`,
		},
		"a path into another variant": {
			"is none", `["x:Domain/set",{"update":{"b":{"dkimManagement/rotateAfter":1000}}},"0"]`,
			refused("notUpdated", "b", `{"type":"invalidPatch","description":"Invalid JSON Pointer path","properties":["dkimManagement/rotateAfter"]}`),
		},
		"null in a whole set": {
			"only a path takes null", `["x:Domain/set",{"update":{"b":{"aliases":{"x.test":null}}}},"0"]`,
			refused("notUpdated", "b", `{"type":"invalidPatch","description":"Invalid value for object property","properties":["aliases"]}`),
		},
		"a public suffix": {
			"a name may end in it", `["x:Domain/set",{"create":{"n":{"name":"Firma.co.uk"}}},"0"],["x:Domain/query",{"filter":{"name":"firma.co.uk"}},"1"]`,
			`[["x:Domain/set",{"accountId":"d333333","created":{"n":{"id":"e"}}},"0"],
				["x:Domain/query",{"accountId":"d333333","queryState":"n","canCalculateChanges":true,"position":0,"ids":["e"]},"1"]]`,
		},
		"disabled": {
			"is stored, and nothing comes of it", `["x:Domain/set",{"update":{"b":{"isEnabled":false}}},"0"],["x:Domain/get",{"ids":["b"],"properties":["isEnabled"]},"1"]`,
			`[` + updated + `,["x:Domain/get",{"accountId":"d333333","list":[{"id":"b","isEnabled":false}],"notFound":[]},"1"]]`,
		},
		"no account": {
			"null is none", `["x:Domain/get",{"accountId":null,"ids":[]},"0"]`,
			`[["error",{"type":"invalidArguments","description":"invalid type: expected a string"},"0"]]`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, _ := stand(t)
			var want []any
			if err := json.Unmarshal([]byte(tt.want), &want); err != nil {
				t.Fatalf("%s: %v", tt.want, err)
			}
			if found := call(t, s, tt.calls); !cmp.Equal(found, want) {
				t.Errorf("%s: %s", tt.reason, cmp.Diff(want, found))
			}
		})
	}
}

// Keys come later than their domain, hold it, and stay behind when it was
// destroyed before the first of them.
func TestKeys(t *testing.T) {
	s, clock := stand(t)
	keys := func(domain string) int { return len(s.keysOf(domain)) }
	call(t, s, `["x:Domain/set",{"create":{"n":{"name":"flash.test"}}},"0"],["x:Domain/set",{"destroy":["e"]},"1"]`)
	for _, want := range []struct {
		after      time.Duration
		keys, left int
	}{{0, 0, 0}, {10 * time.Millisecond, 1, 1}, {time.Second, 2, 1}, {time.Hour, 2, 1}} {
		clock.Advance(want.after)
		call(t, s, `["x:DkimSignature/query",{},"0"]`)
		if keys("d") != want.keys || keys("e") != want.left || keys("b") != 0 {
			t.Errorf("after %v there are %d keys, and %d are left of a domain that is gone", want.after, keys("d"), keys("e"))
		}
	}
	call(t, s, `["x:Domain/set",{"update":{"b":{"dkimManagement":{"@type":"Automatic"}}}},"0"],
		["x:Domain/set",{"update":{"b":{"dkimManagement":{"@type":"Manual"}}}},"0"]`)
	clock.Advance(time.Hour)
	call(t, s, `["x:DkimSignature/query",{},"0"]`)
	if keys("b") != 0 {
		t.Errorf("a domain whose keys are made by hand has %d", keys("b"))
	}
}

func TestAnonymousSession(t *testing.T) {
	s, _ := stand(t)
	w := httptest.NewRecorder()
	s.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/jmap/session", nil))
	var session struct {
		Accounts map[string]any
		APIURL   string `json:"apiUrl"`
	}
	body, err := io.ReadAll(w.Body)
	if err == nil {
		err = json.Unmarshal(body, &session)
	}
	if err != nil || w.Code != http.StatusOK || len(session.Accounts) > 0 || session.APIURL != "https://mail.dezky.test/jmap/" {
		t.Errorf("%d %s %v", w.Code, body, err)
	}
}
