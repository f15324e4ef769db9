// The client graphql-ws, and the protocol by hand where the client keeps to it.
import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";
import WebSocket from "ws";
import { bearer, createTenant, feed, Feed, make, nobody, socketClient, soon, socketUrl } from "./world.mjs";

const typename = { query: "{ __typename }" };

async function first(client, payload) {
  for await (const result of client.iterate(payload)) {
    return result;
  }
}

async function all(client, payload) {
  const results = [];
  for await (const result of client.iterate(payload)) {
    results.push(result);
  }
  return results;
}

const closed = (code) => (err) => (assert.equal(err.code, code, err.reason), true);

test("one socket is kept alive, and carries queries, mutations and subscriptions", async (t) => {
  const closes = [];
  let pongs = 0;
  const client = socketClient(t, {
    lazy: false,
    keepAlive: 50,
    on: { closed: (event) => closes.push(event.code), pong: (received) => (pongs += received) },
  });
  const events = new Feed();
  client.subscribe({ query: feed }, events.sink);
  await events.follows("socket", async (slug) => {
    const [{ data }, ...more] = await all(client, { query: createTenant, variables: { slug } });
    assert.equal(data.createTenant.tenant.slug, slug);
    assert.deepEqual(more, []);
  });
  const [me] = await all(client, { query: "{ me { user { email } } }" });
  assert.equal(me.data.me.user.email, "operator@dezky.test");
  assert.ok(pongs > 0);
  assert.deepEqual(closes, []);
});

test("a wrong token is closed with 4403, after which the client comes with a fresh one", async (t) => {
  const params = [{ Authorization: "Bearer stale" }, bearer("operator")];
  const closes = [];
  const client = socketClient(t, {
    connectionParams: () => params.shift(),
    on: { closed: (event) => closes.push(event.code) },
  });
  assert.equal((await first(client, typename)).data.__typename, "Query");
  assert.equal(closes[0], 4403);
});

for (const [name, connectionParams] of [
  ["without", {}],
  ["with a wrong", { Authorization: "Bearer stale" }],
  ["with a wrongly typed", { Authorization: 1 }],
]) {
  test(`${name} token the client that does not come again is told why`, async (t) => {
    const client = socketClient(t, { connectionParams, retryAttempts: 0 });
    await assert.rejects(all(client, typename), closed(4403));
  });
}

test("an id that is in use closes with 4409, which is final", async (t) => {
  const client = socketClient(t, { generateID: () => "same" });
  const events = new Feed();
  client.subscribe({ query: feed }, events.sink);
  await assert.rejects(all(client, { query: feed }), closed(4409));
});

test("an id is free as soon as its operation ends, by either side", async (t) => {
  const client = socketClient(t, { generateID: () => "same", lazyCloseTimeout: 1000 });
  for (let i = 0; i < 20; i++) {
    assert.equal((await all(client, typename)).length, 1);
    const stream = client.iterate({ query: feed });
    const next = stream.next();
    await new Promise(setImmediate);
    await stream.return();
    await next;
  }
});

test("errors of a request end its operation, and errors of a field come with their data", async (t) => {
  const client = socketClient(t);
  await assert.rejects(all(client, { query: "{ nothing }" }), ([err]) => {
    assert.equal(err.extensions.code, "GRAPHQL_VALIDATION_FAILED");
    return true;
  });
  await assert.rejects(all(socketClient(t, { connectionParams: bearer("member") }), { query: feed }), ([err]) => {
    assert.equal(err.extensions.code, "FORBIDDEN");
    return true;
  });
  const [{ data, errors }] = await all(client, { query: nobody });
  assert.deepEqual(data, { node: null });
  assert.equal(errors[0].extensions.code, "NOT_FOUND");
});

// By hand: what is sent, and what comes back, to the close.
const init = { type: "connection_init", payload: bearer("operator") };
const ack = { type: "connection_ack" };
const subscribe = { id: "1", type: "subscribe", payload: typename };
const forever = { id: "1", type: "subscribe", payload: { query: feed } };
const garbage = "{";

async function open(t) {
  const socket = new WebSocket(socketUrl, "graphql-transport-ws");
  t.after(() => socket.close());
  const got = [];
  socket.on("message", (data) => got.push(JSON.parse(data)));
  await once(socket, "open");
  return {
    socket,
    got,
    send: (...frames) => frames.forEach((f) => socket.send(f === garbage ? f : JSON.stringify(f))),
    async until(type) {
      while (!got.some((message) => message.type === type)) {
        await once(socket, "message");
      }
    },
  };
}

for (const [name, frames, want] of [
  [
    "ping, before the init too",
    [{ type: "ping" }, init, { type: "ping", payload: { at: 1 } }, garbage],
    [{ type: "pong" }, ack, { type: "pong", payload: { at: 1 } }, 4400],
  ],
  ["a pong that nobody asked for", [{ type: "pong" }, init, garbage], [ack, 4400]],
  ["complete what is not there", [init, { id: "2", type: "complete" }, garbage], [ack, 4400]],
  ["operate before the init", [subscribe], [4401]],
  ["a second init", [init, init], [ack, 4429]],
  ["an id twice", [init, forever, subscribe], [ack, 4409]],
  ["no JSON", [garbage], [4400]],
  ["no type of message", [{ type: "start", id: "1" }], [4400]],
]) {
  test(`by hand: ${name}`, async (t) => {
    const { socket, got, send } = await open(t);
    send(...frames);
    const [code] = await once(socket, "close");
    assert.deepEqual([...got.filter(({ type }) => type !== "next"), code], want);
  });
}

test("by hand: an operation that the client completes says nothing more", async (t) => {
  const { got, send, until } = await open(t);
  send(init, forever);
  for (let i = 1; got.length < 2; i++) {
    await make(`hand-${i}`);
    await soon();
  }
  send({ id: "1", type: "complete" }, { type: "ping" });
  await until("pong");
  const before = got.length;
  await make("hand-last");
  await soon();
  assert.deepEqual(got.slice(before), []);
});

for (const protocol of [[], ["graphql-ws"], ["soap"]]) {
  test(`by hand: the subprotocol ${protocol[0] ?? "of nobody"} is not spoken`, async () => {
    const socket = new WebSocket(socketUrl, protocol);
    const [, answer] = await once(socket, "unexpected-response");
    assert.equal(answer.statusCode, 400);
    socket.on("error", () => {}); // of what is ended before it began
    socket.terminate();
  });
}
