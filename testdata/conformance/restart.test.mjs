// The server ends and starts again while clients subscribe and tenants are made.
import { test } from "node:test";
import { createClient } from "graphql-sse";
import { bearer, feed, Feed, make, restart, soon, socketClient, url } from "./world.mjs";

for (const [name, subscribe] of [
  [
    "graphql-ws",
    // Without shouldRetry the client gives up when nobody listens.
    (t, request, sink) => socketClient(t, { retryAttempts: 50, shouldRetry: () => true }).subscribe(request, sink),
  ],
  [
    "graphql-sse",
    (t, request, sink) => {
      const client = createClient({ url, headers: bearer("operator"), retryAttempts: 50, retry: soon });
      return client.subscribe(request, sink);
    },
  ],
]) {
  test(`${name} comes again, and misses and doubles nothing`, async (t) => {
    const events = new Feed();
    t.after(subscribe(t, { query: feed, variables: events.variables }, events.sink));
    await events.follows(`${name}-first`);
    await make(`${name}-meanwhile`);
    await restart();
    await make(`${name}-last`);
    for (const slug of [`${name}-meanwhile`, `${name}-last`]) {
      await events.until(slug, "OK");
      events.whole(slug);
    }
  });
}
