import { createClient } from "graphql-ws";

const endpoint = "/graphql";

// forbidden is the code with which the server closes a WebSocket whose token it
// does not accept, or not any longer.
const forbidden = 4403;

// createFetcher gives GraphiQL its way to the server: one POST for a query or
// a mutation, a WebSocket for a subscription, both with the session's token.
// An operation that is refused as unauthenticated, with nothing of it done, is
// sent once more after the session has been renewed. So is a subscription whose
// token has expired on the way.
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

// follow subscribes, on a connection of its own, and returns GraphiQL's handle
// to stop. An observer hears nothing more after it stopped, failed or completed.
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

  const connect = async () => {
    // Before the connection: the server waits only seconds for who it is.
    const connectionParams = await headersFor(session, headers);
    if (over) {
      return;
    }
    let left = false;

    // leave ends this connection, once. It starts the one other attempt, or
    // tells how the subscription ended.
    const leave = async (unauthenticated, tell) => {
      if (left) {
        return;
      }
      left = true;
      disconnect();
      if (unauthenticated && !renewed && (await session.renew()) && !over) {
        renewed = true;
        connect();
        return;
      }
      finish(tell);
    };

    const refuse = (answer) =>
      leave(isUnauthenticated(answer), () => {
        show(answer);
        observer.complete();
      });

    const lose = (failure) => {
      const unauthenticated = failure.code === forbidden;
      leave(unauthenticated, () => {
        if (unauthenticated) {
          session.refused(identity);
        }
        observer.error(explain(failure));
      });
    };

    const client = createClient({
      url: endpoint, // which a browser resolves to ws or wss
      connectionParams,
      // A connection that breaks is shown, not hidden behind retries. The
      // client would come again after a normal closure all the same, so its
      // closures are heard here.
      retryAttempts: 0,
      on: { closed: lose },
    });
    disconnect = client.subscribe(operation, {
      next(result) {
        if (isUnauthenticated(result)) {
          refuse(result);
        } else {
          renewed = false;
          show(result);
        }
      },
      error(failure) {
        if (Array.isArray(failure)) {
          refuse({ errors: failure });
        } else {
          lose(failure);
        }
      },
      complete() {
        leave(false, () => observer.complete());
      },
    });
  };

  connect();
  return { unsubscribe: () => finish(() => {}) };
}

// explain makes an error of what ended a connection. A browser does not say
// why one broke or could not be made: that is a bare event, or the code 1006.
function explain(failure) {
  const { code = 1006, reason } = failure;
  switch (true) {
    case failure instanceof Error:
      return failure;
    case code === 1006:
      return new Error("The connection to the server broke, or could not be made (1006).");
    case code === forbidden:
      return new Error(`The server does not accept the sign-in (${code} ${reason}).`);
    default:
      return new Error(`The server closed the connection (${[code, reason].filter(Boolean).join(" ")}).`);
  }
}

// headersFor is also what a connection_init holds: a page cannot send headers
// with a WebSocket.
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
