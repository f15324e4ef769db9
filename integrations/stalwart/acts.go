package stalwart

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/dezky/platform/platform"
)

var (
	_ platform.Mailboxes   = (*Client)(nil)
	_ platform.MailDomains = (*Client)(nil)
	_ platform.Probe       = (*Client)(nil)
)

// LongestConnection is the longer of the server's two limits for a connection
// that is silent: nothing ends one that was open when its mailbox was frozen but
// these. It is an error where the server does not say them.
func (c *Client) LongestConnection(ctx context.Context) (time.Duration, error) {
	var found getResult[struct {
		TimeoutIdle          int64 `json:"timeoutIdle"` // in milliseconds, as all durations there
		TimeoutAuthenticated int64 `json:"timeoutAuthenticated"`
	}]
	err := c.call(ctx, call{"limits", "x:Imap/get", map[string]any{
		"ids": []string{"singleton"}, "properties": []string{"timeoutIdle", "timeoutAuthenticated"},
	}, &found})
	switch {
	case err != nil:
		return 0, err
	case len(found.List) != 1 || found.List[0].TimeoutIdle <= 0 || found.List[0].TimeoutAuthenticated <= 0:
		return 0, c.http.Garbled(errors.New("it does not say how long a connection may be silent"))
	}
	return time.Duration(max(found.List[0].TimeoutIdle, found.List[0].TimeoutAuthenticated)) * time.Millisecond, nil
}

// MailUse is what each mailbox holds, asked for 500 mailboxes at a time.
func (c *Client) MailUse(ctx context.Context, handles []string) (map[string]platform.Use, error) {
	handles = slices.DeleteFunc(slices.Clone(handles), func(h string) bool { return h == "" }) // which the server reads as an id
	slices.Sort(handles)
	use := map[string]platform.Use{}
	for ids := range slices.Chunk(slices.Compact(handles), maxObjects) {
		var found getResult[struct {
			ID            string
			UsedDiskQuota int64 `json:"usedDiskQuota"`
			Quotas        map[string]int64
		}]
		err := c.call(ctx, call{"use", "x:Account/get", map[string]any{"ids": ids, "properties": []string{"usedDiskQuota", "quotas"}}, &found})
		if err != nil {
			return nil, err
		}
		for _, a := range found.List {
			use[a.ID] = platform.Use{UsedBytes: a.UsedDiskQuota, QuotaBytes: a.Quotas["maxDiskQuota"]}
		}
	}
	return use, nil
}

// Probe asks for one domain with our credentials. The server's own health check
// says nothing: it is well also before the server was set up.
func (c *Client) Probe(ctx context.Context) error {
	var found queryResult
	return c.call(ctx, call{"probe", "x:Domain/query", map[string]any{"limit": 1}, &found})
}

// Zone is the domain's zone text as the server renders it now.
func (c *Client) Zone(ctx context.Context, handle string) (string, error) {
	var found getResult[struct {
		DNSZoneFile string `json:"dnsZoneFile"`
	}]
	if handle == "" {
		return "", noSuchDomain()
	}
	err := c.call(ctx, call{"zone", "x:Domain/get", map[string]any{"ids": []string{handle}, "properties": []string{"dnsZoneFile"}}, &found})
	switch {
	case err != nil:
		return "", err
	case len(found.List) == 0:
		return "", noSuchDomain()
	case found.List[0].DNSZoneFile == "":
		return "", c.http.Garbled(errors.New("it renders no zone"))
	}
	return found.List[0].DNSZoneFile, nil
}

func noSuchDomain() error {
	return platform.Errorf(platform.NotFound, "The mail server does not know this mail domain.")
}

// DKIMKeys are the domain's keys in the order of their making.
func (c *Client) DKIMKeys(ctx context.Context, handle string) ([]platform.DKIMKey, error) {
	var ids queryResult
	var found getResult[struct {
		Type      string `json:"@type"`
		DomainID  string `json:"domainId"`
		Selector  string
		PublicKey string `json:"publicKey"`
		Stage     string
	}]
	if handle == "" {
		return nil, nil
	}
	err := c.call(ctx,
		call{"keys", "x:DkimSignature/query", keysOf(handle), &ids},
		call{"read", "x:DkimSignature/get", map[string]any{
			"#ids": resultOf("keys", "x:DkimSignature"), "properties": []string{"@type", "domainId", "selector", "publicKey", "stage"},
		}, &found})
	if err != nil {
		return nil, err
	}
	keys := make([]platform.DKIMKey, 0, len(found.List))
	for _, k := range found.List {
		if k.DomainID != handle {
			continue
		}
		algorithm := "rsa"
		if strings.Contains(k.Type, "Ed25519") {
			algorithm = "ed25519"
		}
		keys = append(keys, platform.DKIMKey{
			Selector: k.Selector, Algorithm: algorithm, PublicKey: k.PublicKey, Stage: platform.DKIMStage(strings.ToUpper(k.Stage)),
		})
	}
	return keys, nil
}
