// Apollo Client, with its subscriptions over graphql-ws.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { before, test } from "node:test";
import { ApolloClient, ApolloLink, CombinedGraphQLErrors, gql, HttpLink, InMemoryCache, ServerError } from "@apollo/client";
import { PersistedQueryLink } from "@apollo/client/link/persisted-queries";
import { GraphQLWsLink } from "@apollo/client/link/subscriptions";
import { relayStylePagination } from "@apollo/client/utilities";
import { bearer, createTenant, feed, Feed, make, nobody, socketClient, tenantPage, url } from "./world.mjs";

function apollo(t, { headers = bearer("operator"), links = [] } = {}) {
  const client = new ApolloClient({
    cache: new InMemoryCache({
      typePolicies: { Query: { fields: { tenants: relayStylePagination(["search"]) } } },
    }),
    link: ApolloLink.from([
      ...links,
      ApolloLink.split(
        ({ operationType }) => operationType === "subscription",
        new GraphQLWsLink(socketClient(t)),
        new HttpLink({ uri: url, headers }),
      ),
    ]),
  });
  t.after(() => client.stop());
  return client;
}

before(() => make("apollopage-1", "apollopage-2", "apollopage-3"));

test("pages become one list", async (t) => {
  const client = apollo(t);
  const page = { query: gql(tenantPage), variables: { search: "apollopage" } };
  const list = client.watchQuery(page);
  const watching = list.subscribe(() => {});
  t.after(() => watching.unsubscribe());
  const slugs = (data) => data.tenants.edges.map(({ node }) => node.slug);

  const { data } = await list.refetch();
  assert.deepEqual(slugs(data), ["apollopage-1", "apollopage-2"]);
  await list.fetchMore({ variables: { after: data.tenants.pageInfo.endCursor } });
  const merged = client.readQuery(page);
  assert.deepEqual(slugs(merged), ["apollopage-1", "apollopage-2", "apollopage-3"]);
  assert.equal(merged.tenants.pageInfo.hasNextPage, false);
});

test("a mutation answers with what to mend", async (t) => {
  const { data } = await apollo(t).mutate({ mutation: gql(createTenant), variables: { slug: "No Slug" } });
  assert.equal(data.createTenant.tenant, null);
  const [{ code, field }] = data.createTenant.userErrors;
  assert.deepEqual({ code, field }, { code: "INVALID", field: "slug" });
});

test("errors are what the policy makes of them", async (t) => {
  const client = apollo(t);
  const query = gql(nobody);
  const coded = (code) => (err) => {
    assert.ok(CombinedGraphQLErrors.is(err), String(err));
    assert.equal(err.errors[0].extensions.code, code);
    return true;
  };
  await assert.rejects(client.query({ query, errorPolicy: "none" }), coded("NOT_FOUND"));
  await assert.rejects(client.query({ query: gql("{ nothing }") }), coded("GRAPHQL_VALIDATION_FAILED"));

  const whole = await client.query({ query, errorPolicy: "all" });
  assert.deepEqual(whole.data, { node: null });
  coded("NOT_FOUND")(whole.error);

  const ignored = await client.query({ query, errorPolicy: "ignore", fetchPolicy: "network-only" });
  assert.deepEqual(ignored.data, { node: null });
  assert.equal(ignored.error, undefined);
});

test("a wrong token is an error of the server", async (t) => {
  const client = apollo(t, { headers: { Authorization: "Bearer stale" } });
  await assert.rejects(client.query({ query: gql("{ me { isOperator } }") }), (err) => {
    assert.ok(ServerError.is(err), String(err));
    assert.equal(err.statusCode, 401);
    assert.equal(JSON.parse(err.bodyText).errors[0].extensions.code, "UNAUTHENTICATED");
    return true;
  });
});

test("a client that sends hashes for documents is told to send documents", async (t) => {
  const sha256 = (text) => createHash("sha256").update(text).digest("hex");
  const client = apollo(t, { links: [new PersistedQueryLink({ sha256 })] });
  const { data } = await client.query({ query: gql("{ me { isOperator } }") });
  assert.equal(data.me.isOperator, true);
});

test("a subscription shows every change", async (t) => {
  const client = apollo(t);
  const events = new Feed();
  const subscription = client.subscribe({ query: gql(feed) }).subscribe({
    next: ({ data, error }) => (error ? events.sink.error(error) : events.sink.next({ data })),
    error: events.sink.error,
  });
  t.after(() => subscription.unsubscribe());
  await events.follows("apollo", async (slug) => {
    const { data } = await client.mutate({ mutation: gql(createTenant), variables: { slug } });
    assert.equal(data.createTenant.tenant.slug, slug);
  });
});
