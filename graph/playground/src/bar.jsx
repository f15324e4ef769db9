import { useId, useRef, useState } from "react";

// Bar says who sits here and lets them become someone else. Tests find its
// parts by data-person, data-action and the data-state of #session.
export function Bar({ session, state, people }) {
  return (
    <header className="bar">
      <h1 className="brand">
        <Mark />
        Dezky <span>Playground</span>
      </h1>
      {people.length > 0 && <People session={session} state={state} people={people} />}
      <div className="who">
        <p id="session" role="status" data-state={state.phase}>
          {describe(state)}
        </p>
        {state.token && (
          <button type="button" data-action="sign-out" onClick={() => session.signOut()}>
            Sign out
          </button>
        )}
        <PasteToken session={session} />
      </div>
    </header>
  );
}

function People({ session, state, people }) {
  const label = useId();
  return (
    <div className="people" role="group" aria-labelledby={label}>
      <span id={label}>Sign in as</span>
      {people.map((person) => (
        <button
          key={person.id}
          type="button"
          data-person={person.id}
          aria-pressed={person.id === state.person?.id}
          onClick={() => session.signIn(person)}
        >
          {person.name} <small>{person.role}</small>
        </button>
      ))}
    </div>
  );
}

// PasteToken is a popover, so that Escape and a click elsewhere close it and
// focus returns to the button, without code of ours. The field is focused by
// hand: React does not write the autofocus attribute that popovers look for.
function PasteToken({ session }) {
  const form = useRef(null);
  const field = useId();
  const [wrong, setWrong] = useState(false);

  const submit = (event) => {
    event.preventDefault();
    const token = new FormData(event.target).get("token").trim().replace(/^Bearer\s+/i, "");
    const usable = /^[\x21-\x7e]+$/.test(token); // what a header can carry
    setWrong(!usable);
    if (usable) {
      session.use(token);
      form.current.hidePopover();
    }
  };
  // A token does not stay in the page once the form has closed.
  const clear = () => {
    form.current.reset();
    setWrong(false);
  };
  const focus = (event) => {
    if (event.newState === "open") {
      form.current.elements.token.focus();
    }
  };

  return (
    <>
      <button type="button" data-action="paste-token" popoverTarget="paste">
        Paste a token
      </button>
      <form id="paste" popover="auto" ref={form} onSubmit={submit} onBeforeToggle={clear} onToggle={focus}>
        <label htmlFor={field}>Token</label>
        <input
          id={field}
          name="token"
          autoComplete="off"
          spellCheck="false"
          placeholder="eyJhbGciOi…"
          aria-invalid={wrong}
          aria-describedby={`${field}-help`}
        />
        <button type="submit" data-action="use-token">
          Use it
        </button>
        <p id={`${field}-help`}>{wrong ? "That is not a token." : "Kept in this tab only, and sent as Bearer."}</p>
      </form>
    </>
  );
}

function describe({ phase, person, token, expiresAt, message }) {
  const who = person ? `${person.name} · ${person.role}` : "a pasted token";
  const until = expiresAt && new Date(expiresAt).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
  switch (true) {
    case phase === "signing-in":
      return "Signing in …";
    case message !== "":
      return message;
    case phase === "refused":
      return `The server refuses ${person ? `the token of ${person.name}` : who}`;
    case !token:
      return "Not signed in";
    default:
      return (
        <span title={until ? `Token until ${until}, then renewed` : undefined}>
          <span className="quiet">Signed in as</span> {who}
        </span>
      );
  }
}

function Mark() {
  return (
    <svg className="mark" viewBox="0 0 16 16" aria-hidden="true">
      <rect width="16" height="16" rx="4" />
      <path d="M5 4h3a4 4 0 0 1 0 8H5z" />
    </svg>
  );
}
