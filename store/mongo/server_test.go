package mongo

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"

	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/bson/primitive"
	"go.mongodb.org/mongo-driver/x/bsonx/bsoncore"
	"go.mongodb.org/mongo-driver/x/mongo/driver/wiremessage"

	"github.com/dezky/platform/store"
)

// canned is a server that keeps nothing: it answers each command with what a
// test has laid ready for it, and otherwise with what an empty 4.0 would say. It
// speaks the wire protocol, so that the driver's own retries, pools and its
// search for a primary are in play, which its mock deployment leaves out.
type canned struct {
	address string
	hello   bson.D

	mu    sync.Mutex
	ready map[string][]answer
	seen  []bson.Raw
	conns []net.Conn
}

// answer is a document, or the end of the connection.
type answer struct {
	doc    bson.D
	hangUp bool
	// hold is waited for before anything is said.
	hold <-chan struct{}
}

func says(doc bson.D) answer { return answer{doc: append(doc, bson.E{Key: "ok", Value: 1})} }

func fails(code int32, name, text string, labels ...string) answer {
	doc := bson.D{{Key: "ok", Value: 0}, {Key: "errmsg", Value: text}, {Key: "code", Value: code}, {Key: "codeName", Value: name}}
	if len(labels) > 0 {
		doc = append(doc, bson.E{Key: "errorLabels", Value: labels})
	}
	return answer{doc: doc}
}

func rows(docs ...bson.Raw) answer { return cursor(0, "firstBatch", docs...) }

func cursor(id int64, name string, docs ...bson.Raw) answer {
	list := bson.A{}
	for _, doc := range docs {
		list = append(list, doc)
	}
	return says(bson.D{{Key: "cursor", Value: bson.D{{Key: "id", Value: id}, {Key: "ns", Value: "dezky.things"}, {Key: name, Value: list}}}})
}

func serveCanned(t testing.TB) *canned {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &canned{address: listener.Addr().String(), ready: map[string][]answer{}}
	s.hello = bson.D{
		{Key: "ismaster", Value: true}, {Key: "setName", Value: "rs0"}, {Key: "hosts", Value: bson.A{s.address}},
		{Key: "me", Value: s.address}, {Key: "primary", Value: s.address}, {Key: "minWireVersion", Value: 0}, {Key: "maxWireVersion", Value: 7},
		{Key: "maxBsonObjectSize", Value: 16 << 20}, {Key: "maxMessageSizeBytes", Value: 48000000}, {Key: "maxWriteBatchSize", Value: 100000},
		{Key: "logicalSessionTimeoutMinutes", Value: 30}, {Key: "ok", Value: 1},
	}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			s.mu.Lock()
			s.conns = append(s.conns, conn)
			s.mu.Unlock()
			all.Go(func() { s.talk(conn) })
		}
	})
	t.Cleanup(func() {
		listener.Close()
		s.cut()
		all.Wait()
	})
	return s
}

// cut ends all connections.
func (s *canned) cut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, conn := range s.conns {
		conn.Close()
	}
}

// on lays answers ready for a command, each for once.
func (s *canned) on(command string, answers ...answer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ready[command] = append(s.ready[command], answers...)
}

// sent are the commands that came, without those of the driver's own.
func (s *canned) sent() []bson.Raw {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.seen)
}

// names are the names of the commands that came.
func (s *canned) names() string {
	var all []string
	for _, command := range s.sent() {
		all = append(all, nameOf(command))
	}
	return strings.Join(all, " ")
}

func (s *canned) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen = nil
}

func nameOf(command bson.Raw) string {
	elements, err := command.Elements()
	if err != nil || len(elements) == 0 {
		return "?"
	}
	return elements[0].Key()
}

func (s *canned) talk(conn net.Conn) {
	defer conn.Close()
	for {
		id, command, legacy, err := receive(conn)
		if err != nil {
			return
		}
		a := s.answer(command)
		if a.hold != nil {
			<-a.hold
		}
		if a.hangUp || send(conn, id, a.doc, legacy) != nil {
			return
		}
	}
}

func (s *canned) answer(command bson.Raw) answer {
	name := nameOf(command)
	s.mu.Lock()
	defer s.mu.Unlock()
	if name == "isMaster" || name == "ismaster" || name == "hello" {
		return answer{doc: s.hello}
	}
	if name != "endSessions" {
		s.seen = append(s.seen, command)
	}
	if ready := s.ready[name]; len(ready) > 0 {
		s.ready[name] = ready[1:]
		return ready[0]
	}
	switch name {
	case "find":
		return rows()
	case "aggregate":
		if strings.Contains(command.String(), "$changeStream") {
			return cursor(7, "firstBatch")
		}
		return rows()
	case "getMore":
		return cursor(7, "nextBatch")
	case "insert", "update", "delete":
		return says(bson.D{{Key: "n", Value: 1}, {Key: "nModified", Value: 1}})
	case "ping":
		return says(bson.D{{Key: "operationTime", Value: primitive.Timestamp{T: 1700000000, I: 4}}})
	case "explain":
		return says(bson.D{{Key: "queryPlanner", Value: bson.D{{Key: "winningPlan", Value: bson.D{{Key: "stage", Value: "EOF"}}}}}})
	}
	return says(nil)
}

// legacyQuery is the kind of message that a driver says hello with.
const legacyQuery = 2004

// receive reads a message of either of the two kinds that a driver sends to 4.0.
func receive(conn net.Conn) (id int32, command bson.Raw, legacy bool, err error) {
	head := make([]byte, 16)
	if _, err := io.ReadFull(conn, head); err != nil {
		return 0, nil, false, err
	}
	body := make([]byte, binary.LittleEndian.Uint32(head)-16)
	if _, err := io.ReadFull(conn, body); err != nil {
		return 0, nil, false, err
	}
	id = int32(binary.LittleEndian.Uint32(head[4:]))
	if binary.LittleEndian.Uint32(head[12:]) == legacyQuery {
		end := slices.Index(body[4:], 0) + 4
		return id, bson.Raw(body[end+9:]), true, nil
	}
	command, err = sections(body[4:])
	return id, command, false, err
}

// sections puts the documents that came beside a command into it, where they
// would be without that shortening.
func sections(body []byte) (bson.Raw, error) {
	var command bsoncore.Document
	var more []byte
	for len(body) > 0 {
		kind, rest, _ := wiremessage.ReadMsgSectionType(body)
		switch kind {
		case wiremessage.SingleDocument:
			command, body, _ = wiremessage.ReadMsgSectionSingleDocument(rest)
		case wiremessage.DocumentSequence:
			name, docs, after, _ := wiremessage.ReadMsgSectionDocumentSequence(rest)
			list := bsoncore.NewArrayBuilder()
			for _, doc := range docs {
				list.AppendDocument(doc)
			}
			more = bsoncore.AppendArrayElement(more, name, bsoncore.Document(list.Build()))
			body = after
		default:
			return nil, errors.New("a section of an unknown kind")
		}
	}
	elements, err := command.Elements()
	if err != nil {
		return nil, err
	}
	var all []byte
	for _, e := range elements {
		all = append(all, e...)
	}
	return bson.Raw(bsoncore.BuildDocument(nil, append(all, more...))), nil
}

func send(conn net.Conn, to int32, doc bson.D, legacy bool) error {
	raw, err := bson.Marshal(doc)
	if err != nil {
		return err
	}
	code, front := wiremessage.OpMsg, make([]byte, 5)
	if legacy {
		code, front = wiremessage.OpReply, make([]byte, 20)
		front[16] = 1
	}
	message := make([]byte, 16, 16+len(front)+len(raw))
	binary.LittleEndian.PutUint32(message, uint32(16+len(front)+len(raw)))
	binary.LittleEndian.PutUint32(message[8:], uint32(to))
	binary.LittleEndian.PutUint32(message[12:], uint32(code))
	message = append(append(message, front...), raw...)
	_, err = conn.Write(message)
	return err
}

// things are the collections of the tests here.
func things() []store.Collection {
	return []store.Collection{
		{Name: "things", Indexes: []store.Index{
			{Name: "slug", Fields: []string{"slug"}, Unique: true},
			{Name: "desk", Fields: []string{"tenantId", "place.desk"}, Unique: true},
			{Name: "name", Fields: []string{"tenantId", "name"}},
			{Name: "search", Fields: []string{"name", "note"}, Words: true, Scope: "tenantId"},
		}},
		{Name: "events"},
		{Name: "sessions"},
	}
}

// open is an engine on a canned server that knows the collections, after which
// the server has forgotten how it came to know them.
func open(t testing.TB, s *canned, o Options) *Engine {
	t.Helper()
	e, err := Open(t.Context(), "mongodb://"+s.address+"/?replicaSet=rs0", o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	if err := e.EnsureIndexes(t.Context(), things()); err != nil {
		t.Fatal(err)
	}
	s.forget()
	return e
}

func stored(id string, version int64) bson.Raw {
	raw, err := toStored(store.Collection{}, store.Doc{ID: "x", Body: fmt.Appendf(nil, `{"id":%q}`, id)}, version)
	if err != nil {
		panic(err) // a test's own mistake
	}
	return raw
}
