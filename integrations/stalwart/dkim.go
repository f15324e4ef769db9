package stalwart

import (
	"context"
	"fmt"

	"github.com/dezky/platform/platform"
)

// keyIDs are the keys of a domain, also of one that is gone.
func (c *Client) keyIDs(ctx context.Context, domain string) ([]string, error) {
	var keys queryResult
	err := c.call(ctx, call{"keys", "x:DkimSignature/query", keysOf(domain), &keys})
	return keys.IDs, err
}

// keysOf are the arguments of a query for a domain's keys. A domain has a
// handful.
func keysOf(domain string) map[string]any {
	return map[string]any{
		"filter":   map[string]any{"domainId": domain},
		"sort":     []any{map[string]any{"property": "id", "isAscending": true}},
		"position": 0, "limit": maxObjects,
	}
}

func (c *Client) destroyKeys(ctx context.Context, ids []string) error {
	refusals, err := c.destroy(ctx, "x:DkimSignature", ids)
	if err != nil {
		return err
	}
	for id, refusal := range refusals {
		return refusal.notDone(fmt.Sprintf("to remove the key %s", id))
	}
	return nil
}

// removeOrphans destroys the keys that the server made for a domain while it
// went, and the failed tasks that tell of it.
func (c *Client) removeOrphans(ctx context.Context, domain string) error {
	var keys, failed queryResult
	var tasks getResult[struct {
		ID       string
		DomainID string `json:"domainId"`
	}]
	err := c.call(ctx,
		call{"keys", "x:DkimSignature/query", keysOf(domain), &keys},
		// The newest failures are enough: this one is some seconds old.
		call{"failed", "x:Task/query", map[string]any{
			"filter": map[string]any{"@type": "DkimManagement", "status": "Failed"},
			"sort":   []any{map[string]any{"property": "due", "isAscending": false}},
			"limit":  maxObjects,
		}, &failed},
		call{"tasks", "x:Task/get", map[string]any{"#ids": resultOf("failed", "x:Task"), "properties": []string{"domainId"}}, &tasks},
	)
	// Whoever may manage domains and their keys need not be allowed to see tasks.
	if err != nil && (!keys.isWhole() || platform.CanPass(err)) {
		return err
	}
	if err := c.destroyKeys(ctx, keys.IDs); err != nil {
		return err
	}
	var told []string
	for _, task := range tasks.List {
		if task.DomainID == domain {
			told = append(told, task.ID)
		}
	}
	// A failed task does nothing any more, so where the server keeps it, or does not
	// let us touch it, nothing is lost.
	if _, err = c.destroy(ctx, "x:Task", told); err != nil && platform.CanPass(err) {
		return err
	}
	return nil
}
