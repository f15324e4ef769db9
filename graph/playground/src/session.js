// The people that the server lets this page sign in as. A server without such
// a list answers 404, and the page is left with its field for a token.
export async function fetchPeople() {
  try {
    const answer = await fetch("/playground/people");
    return answer.ok ? await answer.json() : [];
  } catch {
    return [];
  }
}

const storageKey = "dezky.playground.session";

const signedOut = { phase: "signed-out", person: null, token: null, expiresAt: null, message: "" };

// Session knows who sits here and holds the token that says so.
//
// The token is kept in sessionStorage: it outlives a reload, which a developer
// does often, but not the tab, and no other tab sees it. Everything in it can
// be had again by a click.
//
// State is replaced, never changed: {phase, person, token, expiresAt, message,
// identity}. phase is signed-out, signing-in, signed-in or refused (the server
// does not accept the token, or gave none); identity is a number that changes
// with the person and stays when only their token is renewed.
export class Session {
  #storage;
  #state;
  #listeners = new Set();
  #renewal = null;
  #turn = 0;

  constructor(storage) {
    this.#storage = storage;
    this.#state = { ...signedOut, ...this.#stored(), identity: 0 };
  }

  snapshot = () => this.#state;

  subscribe = (listener) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  // signIn becomes this person. Of several clicks the last one counts,
  // whichever answer comes first.
  async signIn(person) {
    const turn = ++this.#turn;
    this.#set({ phase: "signing-in", message: "" });
    try {
      const { token, expiresAt } = await askForToken(person);
      if (turn === this.#turn) {
        this.#set({ phase: "signed-in", person, token, expiresAt, identity: turn });
      }
    } catch (failure) {
      if (turn === this.#turn) {
        const phase = this.#state.token ? "signed-in" : "signed-out"; // as whoever sat here before
        this.#set({ phase, message: failure.message });
      }
    }
  }

  // use takes a token from elsewhere. It cannot be renewed from here.
  use(token) {
    const identity = ++this.#turn;
    this.#set({ ...signedOut, phase: "signed-in", token, identity });
  }

  signOut() {
    const identity = ++this.#turn;
    this.#set({ ...signedOut, identity });
  }

  // authorization is the header to send, or undefined. A token that is known
  // to have expired is renewed first.
  async authorization() {
    const { expiresAt } = this.#state;
    if (expiresAt && Date.parse(expiresAt) <= Date.now()) {
      await this.renew();
    }
    const { token } = this.#state;
    return token ? `Bearer ${token}` : undefined;
  }

  // renew fetches a new token for the same person and tells whether it got
  // one. It is false as well when someone else has signed in meanwhile, so
  // that nothing is ever sent again under another name.
  async renew() {
    const { person, identity } = this.#state;
    if (!person) {
      return false;
    }
    // Operations that are refused together share one renewal.
    if (this.#renewal?.identity !== identity) {
      const renewal = { identity, answer: askForToken(person) };
      this.#renewal = renewal;
      renewal.answer.catch(() => {}).then(() => {
        if (this.#renewal === renewal) {
          this.#renewal = null;
        }
      });
    }
    try {
      const { token, expiresAt } = await this.#renewal.answer;
      if (identity !== this.#state.identity) {
        return false;
      }
      this.#set({ token, expiresAt });
      return true;
    } catch {
      return false;
    }
  }

  // refused notes that the server did not accept the token of this identity,
  // accepted that it did.
  refused(identity) {
    this.#mark(identity, "signed-in", "refused");
  }

  accepted(identity) {
    this.#mark(identity, "refused", "signed-in");
  }

  #mark(identity, from, to) {
    if (identity === this.#state.identity && this.#state.phase === from) {
      this.#set({ phase: to });
    }
  }

  #set(change) {
    this.#state = { ...this.#state, ...change };
    const { person, token, expiresAt } = this.#state;
    if (token) {
      this.#storage.setItem(storageKey, JSON.stringify({ person, token, expiresAt }));
    } else {
      this.#storage.removeItem(storageKey);
    }
    this.#listeners.forEach((listener) => listener());
  }

  #stored() {
    try {
      const stored = JSON.parse(this.#storage.getItem(storageKey));
      return stored?.token ? { ...stored, phase: "signed-in" } : {};
    } catch {
      return {};
    }
  }
}

async function askForToken(person) {
  let answer;
  try {
    answer = await fetch("/playground/sign-in", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ person: person.id }),
    });
  } catch {
    throw new Error("The server does not answer.");
  }
  if (!answer.ok) {
    throw new Error((await answer.text()).trim() || "Signing in failed.");
  }
  return answer.json();
}
