package mongo

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"iter"
	"strconv"
	"strings"
	"time"

	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/bson/primitive"
	"go.mongodb.org/mongo-driver/mongo"
	"go.mongodb.org/mongo-driver/mongo/options"
	"go.mongodb.org/mongo-driver/mongo/readconcern"

	"github.com/dezky/platform/platform"
	"github.com/dezky/platform/store"
)

// waiting is how long the server waits for something new before it answers that
// there is nothing.
const waiting = time.Second

// Watch reads a change stream. Every document comes as it was inserted. The
// sequence ends in silence with ctx, and with an error when the stream breaks or
// the engine is closed; whoever watches begins again behind the last position. A
// fail-over alone does not end it: the driver goes on behind what it has read.
func (e *Engine) Watch(ctx context.Context, coll string, after store.Position) iter.Seq2[store.Change, error] {
	return func(yield func(store.Change, error) bool) {
		watching, cancel := context.WithCancel(ctx)
		defer cancel()
		defer context.AfterFunc(e.life, cancel)()
		err := e.follow(watching, coll, after, yield)
		switch {
		case err == nil || ctx.Err() != nil:
			return
		case e.life.Err() != nil:
			err = closed()
		}
		yield(store.Change{}, err)
	}
}

func (e *Engine) follow(ctx context.Context, coll string, after store.Position, yield func(store.Change, error) bool) error {
	c, err := e.collection(coll)
	if err != nil {
		return err
	}
	from, err := e.stand(ctx, c.Name, after)
	if err != nil {
		return err
	}
	var stream *mongo.ChangeStream
	err = e.bounded(ctx, func(within context.Context) (err error) {
		stream, err = e.listen(within, c.Name, from)
		return err
	})
	if err != nil {
		return lost(ctx, after, err)
	}
	defer e.leave(ctx, stream)
	if !yield(store.Change{Position: from.position()}, nil) {
		return nil
	}
	for {
		got, err := e.next(ctx, stream)
		if err != nil {
			return lost(ctx, from.position(), err)
		}
		if !got {
			continue
		}
		doc, err := fromStored(inserted(stream.Current))
		if err != nil { // somebody else's; behind the last position it would come for ever
			return fmt.Errorf("%w: %w", store.ErrPositionLost, err)
		}
		if !yield(store.Change{Position: mark{token: stream.ResumeToken()}.position(), Doc: doc}, nil) {
			return nil
		}
	}
}

func inserted(event bson.Raw) bson.Raw {
	doc, _ := event.Lookup("fullDocument").DocumentOK()
	return doc
}

// listen opens a change stream. Its read concern is majority: what it shows is
// never taken back.
func (e *Engine) listen(ctx context.Context, coll string, from mark) (*mongo.ChangeStream, error) {
	o := options.ChangeStream().SetMaxAwaitTime(waiting).SetBatchSize(batch)
	if from.token != nil {
		o.SetResumeAfter(from.token)
	} else {
		o.SetStartAtOperationTime(&from.time)
	}
	inserts := bson.A{bson.D{{Key: "$match", Value: bson.D{{Key: "operationType", Value: "insert"}}}}}
	majority := options.Collection().SetReadConcern(readconcern.Majority())
	return e.db.Collection(coll, majority).Watch(ctx, inserts, o)
}

// next waits for an event for a while.
func (e *Engine) next(ctx context.Context, stream *mongo.ChangeStream) (bool, error) {
	within, cancel := e.clock.WithTimeout(ctx, waiting+e.timeout)
	defer cancel()
	if stream.TryNext(within) {
		return true, nil
	}
	if err := stream.Err(); err != nil {
		return false, err
	}
	if stream.ID() == 0 {
		return false, platform.Errorf(platform.Unavailable, "The database has ended a watch.").After(time.Second)
	}
	return false, ctx.Err()
}

func (e *Engine) leave(ctx context.Context, stream *mongo.ChangeStream) {
	bye, cancel := e.clock.WithTimeout(context.WithoutCancel(ctx), farewell)
	defer cancel()
	stream.Close(bye) //nolint:errcheck // the server forgets the stream by itself later
}

// lost is what a watch is told about an error of its stream. Behind a position
// every answer of the server says that it cannot go on from there, but for those
// that say something of the server itself.
func lost(ctx context.Context, after store.Position, err error) error {
	code, answered := codeOf(err)
	if ctx.Err() == nil && after != "" && answered && !passing(code) && !forbidden(code) && !mongo.IsNetworkError(err) {
		return store.ErrPositionLost
	}
	return failed(ctx, err)
}

// mark is a place in the log: behind the event of a token, or from a moment on.
type mark struct {
	token bson.Raw
	time  primitive.Timestamp
}

// stand is the mark behind which a watch begins. 4.0 has no token before the
// first event, so that of now is the moment after the newest operation that the
// primary knows of. An older operation may be committed after a newer one; the
// read after that moment waits for all of them, so that none is missed.
func (e *Engine) stand(ctx context.Context, coll string, after store.Position) (mark, error) {
	if after != "" {
		return parseMark(after)
	}
	var now mark
	err := e.bounded(ctx, func(ctx context.Context) error {
		session, err := e.client.StartSession(options.Session().SetCausalConsistency(true))
		if err != nil {
			return err
		}
		defer session.EndSession(ctx)
		ctx = mongo.NewSessionContext(ctx, session)
		if err := e.db.RunCommand(ctx, bson.D{{Key: "ping", Value: int32(1)}}).Err(); err != nil {
			return err
		}
		newest := session.OperationTime()
		if newest == nil {
			// A set that was made just now has no keys yet to sign its time with.
			return platform.Errorf(platform.Unavailable, "The database does not say yet what time it is.").After(time.Second)
		}
		now.time = primitive.Timestamp{T: newest.T, I: newest.I + 1}
		err = e.db.Collection(coll).FindOne(ctx, byID("none")).Err()
		if errors.Is(err, mongo.ErrNoDocuments) {
			err = nil
		}
		return err
	})
	return now, err
}

func (m mark) position() store.Position {
	if m.token != nil {
		return store.Position("r" + base64.RawURLEncoding.EncodeToString(m.token))
	}
	return store.Position(fmt.Sprintf("t%d.%d", m.time.T, m.time.I))
}

func parseMark(after store.Position) (mark, error) {
	if text, ok := strings.CutPrefix(string(after), "r"); ok {
		token, err := base64.RawURLEncoding.DecodeString(text)
		if err != nil || bson.Raw(token).Validate() != nil {
			return mark{}, store.ErrPositionLost
		}
		return mark{token: token}, nil
	}
	text, ok := strings.CutPrefix(string(after), "t")
	seconds, i, dot := strings.Cut(text, ".")
	t, errT := strconv.ParseUint(seconds, 10, 32)
	n, errN := strconv.ParseUint(i, 10, 32)
	if !ok || !dot || errT != nil || errN != nil {
		return mark{}, store.ErrPositionLost
	}
	return mark{time: primitive.Timestamp{T: uint32(t), I: uint32(n)}}, nil
}
