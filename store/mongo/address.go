package mongo

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/mongo"
	"go.mongodb.org/mongo-driver/mongo/description"
	"go.mongodb.org/mongo-driver/mongo/options"
	"go.mongodb.org/mongo-driver/mongo/readpref"
	"go.mongodb.org/mongo-driver/x/mongo/driver/connstring"
	"go.mongodb.org/mongo-driver/x/mongo/driver/topology"

	"github.com/dezky/platform/platform"
)

// address is a mongodb:// address.
type address struct {
	uri      string
	database string
	// shown is the hosts and the database, without who signs in.
	shown string
}

// parse says what is wrong with an address, without its name and password: the
// rest is parsed alone, and if that is right, it must be them.
func parse(uri string) (address, error) {
	parsed, err := connstring.ParseAndValidate(uri)
	if err != nil {
		bare := uri
		if scheme, rest, ok := strings.Cut(uri, "://"); ok {
			bare = scheme + "://" + rest[strings.LastIndex(rest, "@")+1:]
		}
		_, without := connstring.ParseAndValidate(bare)
		if without == nil || strings.Contains(bare, "assword") {
			return address{}, errors.New("the address of MongoDB is not usable: signs such as @ : / % in its name or password must be percent-encoded")
		}
		return address{}, fmt.Errorf("the address of MongoDB is not usable: %w", without)
	}
	to := address{uri: uri, database: parsed.Database}
	if to.database == "" {
		to.database = "dezky"
	}
	to.shown = strings.Join(parsed.Hosts, ",") + "/" + to.database
	return to, nil
}

// oldest is the wire version of MongoDB 4.0, the first with transactions.
const oldest = 7

// inspect asks a server what it is. It is isMaster because 4.0 does not know
// hello, and newer ones still know isMaster.
func inspect(ctx context.Context, db *mongo.Database) error {
	var is struct {
		Msg     string `bson:"msg"`
		SetName string `bson:"setName"`
		Wire    int32  `bson:"maxWireVersion"`
	}
	ask := options.RunCmd().SetReadPreference(readpref.Nearest())
	err := db.Client().Database("admin").RunCommand(ctx, bson.D{{Key: "isMaster", Value: int32(1)}}, ask).Decode(&is)
	if uninitiated(err) {
		return platform.Errorf(platform.Unavailable,
			"The MongoDB server was started with --replSet but belongs to no replica set yet: run rs.initiate() in its shell.").Because(err)
	}
	if err != nil {
		return err
	}
	switch {
	case is.Msg == "isdbgrid":
		return errors.New("this is a mongos: a sharded cluster is not supported yet, name a replica set")
	case is.SetName == "":
		return errors.New("this MongoDB server is alone, and transactions need a replica set: " +
			"start mongod with --replSet rs0 and run rs.initiate() once in its shell; one member is enough")
	case is.Wire < oldest:
		return fmt.Errorf("this MongoDB server is too old (wire version %d): 4.0 or newer is needed", is.Wire)
	}
	return nil
}

// uninitiated says that the only servers that were found wait for their set.
func uninitiated(err error) bool {
	selection, ok := errors.AsType[topology.ServerSelectionError](err)
	if !ok {
		return false
	}
	ghosts := 0
	for _, server := range selection.Desc.Servers {
		if server.Kind == description.RSGhost {
			ghosts++
		}
	}
	return ghosts > 0 && ghosts == len(selection.Desc.Servers)
}
