import { GraphiQL } from "graphiql";
import { useEffect, useMemo, useState, useSyncExternalStore } from "react";
import { createRoot } from "react-dom/client";
import "graphiql/style.css";
import { Bar } from "./bar.jsx";
import { example } from "./example.js";
import { createFetcher } from "./fetcher.js";
import { Session, fetchPeople } from "./session.js";
import "./page.css";

const session = new Session(window.sessionStorage);

function Playground() {
  const state = useSyncExternalStore(session.subscribe, session.snapshot);
  const [people, setPeople] = useState([]);
  useEffect(() => {
    fetchPeople().then(setPeople);
  }, []);

  // Another identity is another fetcher: GraphiQL then reads the schema anew,
  // which may differ by role, and the streams of the last identity end.
  const fetcher = useMemo(() => createFetcher(session), [state.identity]);
  useEffect(() => () => fetcher.close(), [fetcher]);

  return (
    <>
      <Bar session={session} state={state} people={people} />
      <main>
        {/* Headers are never stored: someone may write a token into them. */}
        <GraphiQL fetcher={fetcher} defaultQuery={example} showPersistHeadersSettings={false} shouldPersistHeaders={false}>
          <GraphiQL.Logo> </GraphiQL.Logo>
        </GraphiQL>
      </main>
    </>
  );
}

createRoot(document.getElementById("playground")).render(<Playground />);
