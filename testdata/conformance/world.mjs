// The server that is judged, as TestConformance says in the environment, and what
// all clients do with it.
import assert from "node:assert/strict";
import { createClient } from "graphql-ws";
import WebSocket from "ws";

export const url = process.env.URL;
export const socketUrl = url.replace(/^http/, "ws");

const tokens = JSON.parse(process.env.TOKENS); // by person

export const bearer = (person) => ({ Authorization: `Bearer ${tokens[person]}` });

// Has the server end as it does when it is told to, and start again.
export async function restart() {
  const answer = await fetch(process.env.RESTART, { method: "POST" });
  assert.equal(answer.status, 204, await answer.text());
}

// socketClient is a client of graphql-ws for a test, which it does not outlive.
export function socketClient(t, options = {}) {
  const client = createClient({
    url: socketUrl,
    webSocketImpl: WebSocket,
    connectionParams: bearer("operator"),
    retryWait: soon,
    ...options,
  });
  t.after(() => client.dispose());
  return client;
}

export const soon = () => new Promise((resolve) => setTimeout(resolve, 100));

export const createTenant = /* GraphQL */ `
  mutation CreateTenant($slug: String!) {
    createTenant(input: { slug: $slug, name: $slug }) {
      tenant { id slug }
      userErrors { code field message }
    }
  }
`;

// tenantPage is a page of the tenants whose name begins with a word.
export const tenantPage = /* GraphQL */ `
  query TenantPage($search: String!, $after: Cursor) {
    tenants(search: $search, first: 2, after: $after) {
      edges { cursor node { id slug } }
      pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
      totalCount
    }
  }
`;

export const nobody = /* GraphQL */ `query { node(id: "ten_nobody") { id } }`;

export const feed = /* GraphQL */ `
  subscription Feed($after: Cursor) {
    provisioningFeed(after: $after) {
      tenant { slug }
      sequence firstSequence resync cursor status
      steps { integration state }
    }
  }
`;

// ask sends a request by hand, for what is not the matter of a test.
export async function ask(query, variables) {
  const answer = await fetch(url, {
    method: "POST",
    headers: { ...bearer("operator"), "Content-Type": "application/json" },
    body: JSON.stringify({ query, variables }),
  });
  const { data, errors } = await answer.json();
  assert.equal(errors, undefined);
  return data;
}

// make has tenants made, one after the other.
export async function make(...slugs) {
  for (const slug of slugs) {
    const { createTenant: made } = await ask(createTenant, { slug });
    assert.deepEqual(made.userErrors, []);
  }
}

// Feed takes the results of the feed from whichever client.
export class Feed {
  events = [];
  // Variables are read each time that a client subscribes: it goes on where it was.
  variables = {};

  sink = {
    next: (result) => {
      if (result.errors) {
        this.sink.error(result.errors);
        return;
      }
      const event = result.data.provisioningFeed;
      this.events.push(event);
      this.variables.after = event.cursor ?? this.variables.after;
      this.#wake();
    },
    error: (err) => {
      this.#failure ??= err;
      this.#wake();
    },
    complete: () => this.sink.error(new Error("the feed is complete")),
  };

  #failure;
  #wake = () => {};

  // until waits for an event of a tenant, with a status if one is given.
  async until(slug, status) {
    while (!this.events.some((event) => event.tenant.slug === slug && (!status || event.status === status))) {
      if (this.#failure) {
        throw this.#failure;
      }
      await new Promise((resolve) => (this.#wake = resolve));
    }
  }

  // follows says that the feed shows all of a tenant that is made once it is open.
  async follows(slug, create = make) {
    // A feed that shows something is open, and every change from now on is an event.
    for (let i = 1; this.events.length === 0; i++) {
      await make(`${slug}-before-${i}`);
      await soon();
    }
    await create(slug);
    await this.until(slug, "OK");
    this.whole(slug);
  }

  // whole says that the feed showed a tenant from its beginning until all was done:
  // every sequence once, and no step going back.
  whole(slug) {
    const of = this.events.filter((event) => event.tenant.slug === slug);
    const order = ["PENDING", "RUNNING", "OK"];
    let last = { sequence: 0, steps: [] };
    for (const event of of) {
      assert.equal(event.resync, false);
      assert.equal(event.firstSequence, last.sequence + 1, JSON.stringify(of));
      for (const [i, { integration, state }] of event.steps.entries()) {
        const before = last.steps[i]?.state ?? "PENDING";
        if (state !== "SKIPPED") {
          assert.ok(order.indexOf(state) >= order.indexOf(before), `${integration}: ${before}, then ${state}`);
        }
      }
      last = event;
    }
    assert.deepEqual(
      last.steps.map(({ integration, state }) => `${integration} ${state}`),
      ["AUTHENTIK OK", "STALWART OK", "OCIS OK", "STRIPE SKIPPED"],
    );
  }
}
