// The client graphql-sse, with one connection an operation.
import assert from "node:assert/strict";
import { test } from "node:test";
import { createClient } from "graphql-sse";
import { bearer, createTenant, feed, Feed, nobody, soon, url } from "./world.mjs";

function streamClient(t, options = {}) {
  const client = createClient({ url, headers: bearer("operator"), retry: soon, ...options });
  t.after(() => client.dispose());
  return client;
}

async function all(client, request) {
  const results = [];
  for await (const result of client.iterate(request)) {
    results.push(result);
  }
  return results;
}

test("queries and mutations are streams of one result", async (t) => {
  const client = streamClient(t);
  const [{ data }, ...more] = await all(client, { query: "{ me { user { email } } }" });
  assert.equal(data.me.user.email, "operator@dezky.test");
  assert.deepEqual(more, []);
  const [made] = await all(client, { query: createTenant, variables: { slug: "stream-made" } });
  assert.deepEqual(made.data.createTenant.userErrors, []);
});

test("a subscription shows every change", async (t) => {
  const client = streamClient(t);
  const events = new Feed();
  client.subscribe({ query: feed }, events.sink);
  await events.follows("stream");
});

test("a subscription that is aborted is over, and the client goes on", async (t) => {
  const client = streamClient(t);
  const events = new Feed();
  await new Promise((complete) => {
    const abort = client.subscribe({ query: feed }, { ...events.sink, complete }, { connected: () => abort() });
  });
  assert.deepEqual(events.events, []);
  assert.equal((await all(client, { query: "{ __typename }" })).length, 1);
});

test("errors are results, with data only where something was run", async (t) => {
  const client = streamClient(t);
  const [wrong] = await all(client, { query: "{ nothing }" });
  assert.equal(wrong.errors[0].extensions.code, "GRAPHQL_VALIDATION_FAILED");
  assert.ok(!("data" in wrong));
  const [refused] = await all(streamClient(t, { headers: bearer("member") }), { query: feed });
  assert.equal(refused.errors[0].extensions.code, "FORBIDDEN");
  assert.ok(!("data" in refused));
  const [missing] = await all(client, { query: nobody });
  assert.deepEqual(missing.data, { node: null });
  assert.equal(missing.errors[0].extensions.code, "NOT_FOUND");
});

test("after a wrong token the client comes with a fresh one", async (t) => {
  const headers = [{ Authorization: "Bearer stale" }, bearer("operator")];
  const client = streamClient(t, { headers: () => headers.shift() });
  assert.equal((await all(client, { query: "{ __typename }" })).length, 1);
  assert.deepEqual(headers, []);
});

test("the client that does not come again is told why", async (t) => {
  const client = streamClient(t, { headers: { Authorization: "Bearer stale" }, retryAttempts: 0 });
  await assert.rejects(all(client, { query: "{ __typename }" }), ({ response }) => {
    assert.equal(response.status, 401);
    return true;
  });
});
