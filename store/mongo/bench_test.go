package mongo

import (
	"testing"

	"go.mongodb.org/mongo-driver/x/bsonx/bsoncore"

	"github.com/dezky/platform/store"
)

// BenchmarkReadABody is what a body costs on its way out of a stored document.
func BenchmarkReadABody(b *testing.B) {
	body := `{"id":"ten_0123456789abcdef","slug":"acme","name":"Acme \u0026 Co","sortName":"acme \u0026 co","status":"ACTIVE","plan":"BUSINESS",` +
		`"seats":25,"industry":"Anvils","brandColor":"#112233","partnerId":"par_0123456789abcdef","createdAt":"2026-01-31T12:00:00.000000Z",` +
		`"branding":{"productName":"Acme Desk","logo":null},"domains":["acme.example","acme.test"]}`
	raw, err := toStored(things()[0], store.Doc{ID: "ten_0123456789abcdef", Body: []byte(body)}, 1)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.SetBytes(int64(len(body)))
	for b.Loop() {
		if _, err := fromStored(raw); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkWriteABody is what it costs on its way in.
func BenchmarkWriteABody(b *testing.B) {
	body := []byte(`{"id":"ten_0123456789abcdef","slug":"acme","name":"Acme Co","status":"ACTIVE","seats":25,"createdAt":"2026-01-31T12:00:00.000000Z"}`)
	b.ReportAllocs()
	b.SetBytes(int64(len(body)))
	for b.Loop() {
		var doc bsoncore.Document
		doc, err := toBSON(body)
		if err != nil || len(doc) == 0 {
			b.Fatal(err)
		}
	}
}
