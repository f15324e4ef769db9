import { createClient } from "graphql-sse";

const endpoint = "/graphql";

// createFetcher gives GraphiQL its way to the server: one POST for a query or
// a mutation, a stream of server-sent events for a subscription, both with the
// session's token. An operation that is refused as unauthenticated, with
// nothing of it done, is sent once more after the session has been renewed.
//
// close ends the streams that are open; the fetcher is not used afterwards.
export function createFetcher(session) {
  const streams = new Set();

  const fetcher = (operation, { headers, documentAST } = {}) =>
    isSubscription(documentAST, operation.operationName)
      ? { subscribe: (observer) => follow(session, operation, headers, observer, streams) }
      : ask(session, operation, headers);

  fetcher.close = () => streams.forEach((end) => end("The subscription has ended, because the sign-in has changed."));
  return fetcher;
}

async function ask(session, operation, headers) {
  const { identity } = session.snapshot();
  const send = async () =>
    read(
      await fetch(endpoint, {
        method: "POST",
        headers: {
          "Content-Type": "application/json",
          ...(await headersFor(session, headers, "application/graphql-response+json, application/json")),
        },
        body: JSON.stringify(operation),
      }),
    );
  let answer = await send();
  if (isUnauthenticated(answer) && (await session.renew())) {
    answer = await send();
  }
  note(session, identity, answer);
  return answer;
}

// follow subscribes, and returns GraphiQL's handle to stop. An observer hears
// nothing more after it stopped, failed or completed.
function follow(session, operation, headers, observer, streams) {
  const { identity } = session.snapshot();
  let over = false;
  let renewed = false;
  let disconnect = () => {};

  const finish = (tell) => {
    if (!over) {
      over = true;
      streams.delete(end);
      disconnect();
      tell();
    }
  };
  const end = (reason) => finish(() => observer.error(new Error(reason)));
  streams.add(end);

  const show = (result) => {
    note(session, identity, result);
    observer.next(result);
  };

  // refuse takes an answer that is the end of this stream. It starts the one
  // other attempt, or shows the answer.
  const refuse = async (answer) => {
    disconnect();
    if (isUnauthenticated(answer) && !renewed && (await session.renew()) && !over) {
      renewed = true;
      connect();
      return;
    }
    finish(() => {
      show(answer);
      observer.complete();
    });
  };

  const connect = () => {
    let answer = null; // instead of a stream
    const client = createClient({
      url: endpoint,
      headers: () => headersFor(session, headers),
      // A connection that breaks is shown, not hidden behind retries.
      retryAttempts: 0,
      fetchFn: async (url, init) => {
        const response = await fetch(url, init);
        if (!response.headers.get("Content-Type")?.startsWith("text/event-stream")) {
          answer = await read(response);
          throw new Error("not a stream");
        }
        return response;
      },
    });
    let refusing = false;
    disconnect = client.subscribe(operation, {
      next(result) {
        if (isUnauthenticated(result)) {
          refusing = true;
          refuse(result);
        } else {
          renewed = false;
          show(result);
        }
      },
      error(failure) {
        if (answer) {
          refuse(answer);
        } else if (!refusing) {
          finish(() => observer.error(failure));
        }
      },
      complete() {
        if (!refusing) {
          finish(() => observer.complete());
        }
      },
    });
  };

  connect();
  return { unsubscribe: () => finish(() => {}) };
}

async function headersFor(session, extra, accept) {
  const authorization = await session.authorization();
  return {
    ...(accept && { Accept: accept }),
    ...(authorization && { Authorization: authorization }),
    ...extra,
  };
}

// read gives what the server says in JSON, whatever its status; anything else
// did not come from the API.
async function read(response) {
  if (!/json/.test(response.headers.get("Content-Type") ?? "")) {
    throw new Error(`The server answered ${response.status} ${response.statusText} and no GraphQL.`.replace("  ", " "));
  }
  return response.json();
}

function note(session, identity, answer) {
  if (isUnauthenticated(answer)) {
    session.refused(identity);
  } else {
    session.accepted(identity);
  }
}

// isUnauthenticated is false as soon as the answer holds data: then a part was
// done, and a mutation must not be sent twice.
function isUnauthenticated({ data, errors }) {
  const empty = Object.values(data ?? {}).every((value) => value === null);
  return empty && (errors ?? []).some((error) => error.extensions?.code === "UNAUTHENTICATED");
}

function isSubscription(document, operationName) {
  const operations = (document?.definitions ?? []).filter(({ kind }) => kind === "OperationDefinition");
  const chosen = operations.find(({ name }) => name?.value === operationName) ?? operations[0];
  return chosen?.operation === "subscription";
}
