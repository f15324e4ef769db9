package mongo

import (
	"context"
	"errors"
	"net"
	"slices"
	"strings"
	"time"

	"go.mongodb.org/mongo-driver/mongo"
	"go.mongodb.org/mongo-driver/x/mongo/driver"
	"go.mongodb.org/mongo-driver/x/mongo/driver/topology"

	"github.com/dezky/platform/platform"
	"github.com/dezky/platform/store"
)

// The server's error codes that something follows from.
const (
	namespaceExists = 48
	duplicateKey    = 11000
	// An index with the same name or the same fields is there, and is another one.
	indexOptionsConflict  = 85
	indexKeySpecsConflict = 86
	maxTimeExpired        = 50
	// What is hinted at is no index, or not yet; before and since 4.4.
	badValue              = 2
	noQueryExecutionPlans = 291
)

// The labels that the driver and the server put on errors.
const (
	transientLabel = "TransientTransactionError"
	unknownLabel   = "UnknownTransactionCommitResult"
)

// passing are the codes of a server that cannot answer now, while another one
// can, or the same one later: it is not the primary, shuts down, was told to
// stop this call, or did not reach others in time.
func passing(code int32) bool {
	return slices.Contains([]int32{
		6, 7, 43, 50, 64, 89, 91, 133, 134, 175, 189, 202, 237, 262, 290, 317, 358, 384,
		9001, 10058, 10107, 11600, 11601, 11602, 13435, 13436,
	}, code)
}

// forbidden are the codes of a server that does not let us.
func forbidden(code int32) bool { return code == 13 || code == 18 || code == 8000 }

// failed is what the caller is told about an error of the database. ctx is the
// caller's own: its end comes back as it is, that of a call's own limit is the
// database's fault. No text here has an address's password: the driver keeps it
// out of all that it says but of what it says of an address.
func failed(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if _, ours := errors.AsType[*platform.Error](err); ours || own(err) {
		return err
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if refused(err) {
		return platform.Errorf(platform.Unavailable, "The database does not let the platform in.").Because(err).After(time.Second)
	}
	if away(err) {
		return platform.Errorf(platform.Unavailable, "The database does not answer.").Because(err).After(time.Second)
	}
	return err
}

// own are the errors that the store knows.
func own(err error) bool {
	_, duplicate := errors.AsType[*store.DuplicateError](err)
	return duplicate || errors.Is(err, store.ErrStale) || errors.Is(err, store.ErrNoDocument) || errors.Is(err, store.ErrPositionLost)
}

func closed() error {
	return platform.Errorf(platform.Unavailable, "The database is closed.")
}

// refused says that the name, the password or the rights are not right.
func refused(err error) bool {
	if answer, ok := errors.AsType[mongo.CommandError](err); ok && forbidden(answer.Code) {
		return true
	}
	answer, ok := errors.AsType[driver.Error](err) // that of a handshake
	return ok && forbidden(answer.Code)
}

// away says that no server answered, or none that could.
func away(err error) bool {
	if code, ok := codeOf(err); ok && passing(code) {
		return true
	}
	if mongo.IsTimeout(err) || mongo.IsNetworkError(err) || unreachable(err) || unconnected(err) {
		return true
	}
	_, network := errors.AsType[net.Error](err)
	return network || errors.Is(err, mongo.ErrClientDisconnected) || errors.Is(err, context.Canceled) ||
		errors.Is(err, topology.ErrServerClosed)
}

// unreachable says that for a second there was no server to ask.
func unreachable(err error) bool {
	_, ok := errors.AsType[topology.ServerSelectionError](err)
	return ok
}

// unconnected says that a server was there, but no connection to it. Nothing was
// sent.
func unconnected(err error) bool {
	if _, ok := errors.AsType[topology.ConnectionError](err); ok {
		return true
	}
	if _, ok := errors.AsType[topology.WaitQueueTimeoutError](err); ok {
		return true
	}
	if cleared := driver.RetryablePoolError(nil); errors.As(err, &cleared) {
		return cleared.Retryable()
	}
	_, ok := errors.AsType[topology.PoolError](err)
	return ok
}

// codeOf is the code of what the server answered, if it did.
func codeOf(err error) (int32, bool) {
	if answer, ok := errors.AsType[mongo.CommandError](err); ok && answer.Code != 0 {
		return answer.Code, true
	}
	write, ok := errors.AsType[mongo.WriteException](err)
	switch {
	case !ok:
		return 0, false
	case len(write.WriteErrors) > 0:
		return int32(write.WriteErrors[0].Code), true
	case write.WriteConcernError != nil:
		return int32(write.WriteConcernError.Code), true
	}
	return 0, false
}

func labelled(err error, label string) bool {
	answer, ok := errors.AsType[mongo.LabeledError](err)
	return ok && answer.HasErrorLabel(label)
}

// transient says that a transaction ended over something that a second run on
// newer state may not meet. What has waited a second for a server is not run
// again: whoever asked is told, and comes again.
func transient(err error) bool {
	if own(err) || unreachable(err) || refused(err) {
		return false
	}
	return labelled(err, transientLabel) || unconnected(err)
}

// duplicate makes a *store.DuplicateError of a broken unique index; the server
// names it in the text and nowhere else.
func duplicate(coll string, err error) error {
	if !mongo.IsDuplicateKeyError(err) {
		return err
	}
	index := "id"
	if _, rest, ok := strings.Cut(err.Error(), " index: "); ok {
		if name, _, ok := strings.Cut(rest, " "); ok && name != "_id_" {
			index = name
		}
	}
	return &store.DuplicateError{Coll: coll, Index: index}
}
