// The client urql, with its subscriptions by all three ways that it can have them.
import assert from "node:assert/strict";
import { before, test } from "node:test";
import { cacheExchange, Client, fetchExchange, subscriptionExchange } from "@urql/core";
import { createClient } from "graphql-sse";
import { bearer, createTenant, feed, Feed, make, nobody, soon, socketClient, tenantPage, url } from "./world.mjs";

function urql({ person = "operator", headers = bearer(person), exchanges = [], ...options } = {}) {
  return new Client({
    url,
    preferGetMethod: false, // urql's own choice is GET, which the server does not speak
    fetchOptions: { headers },
    exchanges: [cacheExchange, ...exchanges, fetchExchange],
    ...options,
  });
}

before(() => make("urqlpage-1", "urqlpage-2", "urqlpage-3"));

test("a list is read page by page", async () => {
  const client = urql();
  const seen = [];
  let after;
  do {
    const { data, error } = await client.query(tenantPage, { search: "urqlpage", after }).toPromise();
    assert.equal(error, undefined);
    assert.equal(data.tenants.totalCount, 3);
    seen.push(data.tenants.edges.map(({ node }) => node.slug));
    after = data.tenants.pageInfo.hasNextPage && data.tenants.pageInfo.endCursor;
  } while (after);
  assert.deepEqual(seen, [["urqlpage-1", "urqlpage-2"], ["urqlpage-3"]]);
});

test("a query is answered as GraphQL over HTTP, and not as a stream", async () => {
  let kind;
  const client = urql({
    fetch: async (...request) => {
      const answer = await fetch(...request);
      kind = answer.headers.get("Content-Type");
      return answer;
    },
  });
  const { data } = await client.query("{ __typename }", {}).toPromise();
  assert.equal(data.__typename, "Query");
  assert.match(kind, /^application\/graphql-response\+json/);
});

test("a mutation answers with what to mend", async () => {
  const { data, error } = await urql().mutation(createTenant, { slug: "No Slug" }).toPromise();
  assert.equal(error, undefined);
  assert.equal(data.createTenant.tenant, null);
  const [{ code, field }] = data.createTenant.userErrors;
  assert.deepEqual({ code, field }, { code: "INVALID", field: "slug" });
});

test("errors have codes", async () => {
  const code = async (client, query) => {
    const { error } = await client.query(query, {}).toPromise();
    return [error.graphQLErrors[0]?.extensions.code, error.response.status];
  };
  assert.deepEqual(await code(urql(), nobody), ["NOT_FOUND", 200]);
  assert.deepEqual(await code(urql(), "{ nothing }"), ["GRAPHQL_VALIDATION_FAILED", 400]);
  assert.deepEqual(await code(urql({ person: "member" }), "{ failedOperations { totalCount } }"), ["FORBIDDEN", 200]);
  assert.deepEqual(await code(urql({ headers: {} }), "{ me { isOperator } }"), ["UNAUTHENTICATED", 401]);
  assert.deepEqual(await code(urql({ headers: { Authorization: "Bearer stale" } }), "{ __typename }"), ["UNAUTHENTICATED", 401]);
});

const by = (client) => ({
  exchanges: [
    subscriptionExchange({
      forwardSubscription: ({ query, variables }) => ({
        subscribe: (sink) => ({ unsubscribe: client.subscribe({ query, variables }, sink) }),
      }),
    }),
  ],
});

for (const [way, options] of [
  ["graphql-ws", (t) => by(socketClient(t))],
  ["graphql-sse", () => by(createClient({ url, headers: bearer("operator"), retry: soon }))],
  ["fetch", () => ({ fetchSubscriptions: true })],
]) {
  test(`a subscription by ${way} shows every change`, async (t) => {
    const client = urql(options(t));
    const events = new Feed();
    const { unsubscribe } = client.subscription(feed, {}).subscribe(({ data, error }) => {
      if (error) {
        events.sink.error(error);
      } else {
        events.sink.next({ data });
      }
    });
    t.after(unsubscribe);
    await events.follows(`urql-by-${way}`, async (slug) => {
      const { data } = await client.mutation(createTenant, { slug }).toPromise();
      assert.equal(data.createTenant.tenant.slug, slug);
    });
  });
}
