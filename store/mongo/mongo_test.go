package mongo_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/mongo"
	"go.mongodb.org/mongo-driver/mongo/options"

	"github.com/dezky/platform/platform"
	"github.com/dezky/platform/store"
	"github.com/dezky/platform/store/storetest"
)

// replicaSet is the address of a replica set: that of MONGODB_URI, or of one
// that a mongod on the PATH makes for this run. Without either the test is
// skipped, in one line.
func replicaSet(t *testing.T) string {
	t.Helper()
	if uri := os.Getenv("MONGODB_URI"); uri != "" {
		return uri
	}
	if _, err := exec.LookPath("mongod"); err != nil {
		t.Skip("MongoDB was not tested: set MONGODB_URI to a replica set, or have a mongod on the PATH")
	}
	uri, err := started()
	if err != nil {
		t.Fatal(err)
	}
	return uri
}

// started is one server for all tests of this run.
var started = sync.OnceValues(start)

// start makes a replica set of one in a temporary folder. Its shell ends it and
// removes the folder when this process ends, however that comes about.
func start() (string, error) {
	dir, err := os.MkdirTemp("", "mongod")
	if err != nil {
		return "", err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	address := listener.Addr().String()
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return "", err
	}
	if err := listener.Close(); err != nil {
		return "", err
	}
	shell := exec.Command("sh", "-c", `mongod --dbpath "$0" --port "$1" --bind_ip 127.0.0.1 --replSet rs0 >"$0/log" 2>&1 & read -r _; kill -9 $!; rm -rf "$0"`, dir, port)
	if _, err := shell.StdinPipe(); err != nil {
		return "", err
	}
	if err := shell.Start(); err != nil {
		return "", err
	}
	if err := initiate(address); err != nil {
		log, _ := os.ReadFile(filepath.Join(dir, "log"))
		return "", fmt.Errorf("make a replica set of one: %w\n%s", err, bytes.ToValidUTF8(log, nil))
	}
	return "mongodb://" + address + "/?replicaSet=rs0", nil
}

// initiate waits until the server is the primary of its set.
func initiate(address string) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	client, err := mongo.Connect(ctx, options.Client().ApplyURI("mongodb://"+address+"/?directConnection=true"))
	if err != nil {
		return err
	}
	defer client.Disconnect(ctx)
	set := bson.D{{Key: "_id", Value: "rs0"}, {Key: "members", Value: bson.A{bson.D{{Key: "_id", Value: 0}, {Key: "host", Value: address}}}}}
	admin := client.Database("admin")
	for {
		err := admin.RunCommand(ctx, bson.D{{Key: "replSetInitiate", Value: set}}).Err()
		if err == nil || strings.Contains(err.Error(), "already initialized") {
			break
		}
		if ctx.Err() != nil {
			return err
		}
		time.Sleep(100 * time.Millisecond)
	}
	for {
		var is struct{ Ismaster bool }
		err := admin.RunCommand(ctx, bson.D{{Key: "isMaster", Value: 1}}).Decode(&is)
		if err == nil && is.Ismaster {
			return nil
		}
		if ctx.Err() != nil {
			return fmt.Errorf("it does not become the primary: %w", ctx.Err())
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// TestMongoDB is all that needs a real server.
func TestMongoDB(t *testing.T) {
	t.Parallel()
	uri := replicaSet(t)
	t.Run("bodies", func(t *testing.T) { t.Parallel(); bodies(t, uri) })
	storetest.Run(t, func(t testing.TB) func() store.Engine {
		file := filepath.Join(t.TempDir(), "test.db")
		return func() store.Engine { return storetest.Mongo(t, uri, file) }
	}, func(q store.Query, plan []string) error { return storetest.MongoPlan(q, false, plan) })
}

// bodies: what the wire and the server make of a document is
// what was stored, byte for byte.
func bodies(t *testing.T, uri string) {
	ctx, e := t.Context(), storetest.Mongo(t, uri, filepath.Join(t.TempDir(), "test.db"))
	if err := e.EnsureIndexes(ctx, []store.Collection{{Name: "things"}}); err != nil {
		t.Fatal(err)
	}
	for i, body := range []string{
		`{"id":"x","z":9223372036854775807,"a":-9223372036854775808,"zero":0}`,
		`{"text":"\u0000\u001f quotes ' \" \\ / \b\f\n\r\t Ünïcode 🙂 \u003c\u0026\u003e \u2028\u2029","":"","none":null}`,
		`{"$set":1,"a.b":2,"":{"$a":{"b.c":[]}},"%24":3,"x\u0000":4,"_id":5,"a$":6}`,
		`{"deep":[[],[[{}]],{"a":[{"b":null}]}],"true":true,"false":false}`,
	} {
		id := platform.ID(fmt.Sprint("thi_", i))
		err := e.Tx(ctx, func(tx store.Tx) error {
			return tx.Insert(ctx, "things", store.Doc{ID: id, Body: []byte(body)})
		})
		if err != nil {
			t.Errorf("insert %s: %v", body, err)
			continue
		}
		docs, err := e.Get(ctx, "things", []platform.ID{id})
		if err != nil || len(docs) != 1 || string(docs[0].Body) != body {
			t.Errorf("%s comes back as %+v, %v", body, docs, err)
		}
	}
}

// TestPlansThatReadTooMuchAreFoundOut by what the tests of a real server go by.
func TestPlansThatReadTooMuchAreFoundOut(t *testing.T) {
	t.Parallel()
	one := []store.Condition{{Field: "tenantId", Op: store.Eq, Values: []any{"a"}}}
	word := append(one, store.Condition{Field: "search", Op: store.Word, Values: []any{"a"}})
	for _, test := range []struct {
		where []store.Condition
		plan  []string
		good  bool
	}{
		{one, []string{"FETCH", `IXSCAN name {doc.tenantId: ["a", "a"]; doc.name: [MinKey, MaxKey]}`}, true},
		{one, []string{"FETCH", "SORT_MERGE", `IXSCAN name {doc.tenantId: ["a", "a"]}`, `IXSCAN name {doc.tenantId: ["b", "b"]}`}, true},
		{one, []string{"SORT of the few that are named", "FETCH", `IXSCAN _id_ {_id: ["a", "a"] ["b", "b"]}`}, true},
		{one, []string{"SORT", "SORT_KEY_GENERATOR", "FETCH", `IXSCAN name {doc.tenantId: ["a", "a"]}`}, false},
		{word, []string{"SORT", "SORT_KEY_GENERATOR", "FETCH", `IXSCAN search {doc.tenantId: ["a", "a"]}`}, true},
		{one, []string{"FETCH where {}", "IXSCAN _id_ {_id: [MinKey, MaxKey]}"}, false},
		{one, []string{"FETCH", `IXSCAN _id_ {_id: [MaxKey, MinKey]} where {"_id": {"$not": {}}}`}, false},
		{nil, []string{"FETCH", "IXSCAN _id_ {_id: [MinKey, MaxKey]}"}, true},
		{nil, []string{"SORT", "SORT_KEY_GENERATOR", "COLLSCAN"}, false},
		{one, []string{`COLLSCAN where {"doc.tenantId": {"$eq": "a"}}`}, false},
		{one, []string{"IDHACK"}, true},
		{one, nil, false},
	} {
		if err := storetest.MongoPlan(store.Query{Where: test.where}, false, test.plan); (err == nil) != test.good {
			t.Errorf("%q: got %v, want it good: %v", test.plan, err, test.good)
		}
	}
}
