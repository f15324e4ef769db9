// The audits of GraphQL over HTTP. What is a MUST or a SHOULD has to pass; what is
// a MAY is listed.
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { serverAudits } from "graphql-http";
import { bearer, url } from "./world.mjs";

let sent;
const audits = serverAudits({
  url,
  fetchFn(to, init) {
    sent = `${init?.method ?? "GET"} ${to} ${JSON.stringify(init?.headers ?? {})} ${init?.body ?? ""}`;
    return fetch(to, { ...init, headers: { ...init?.headers, ...bearer("operator") } });
  },
});

const totals = Object.fromEntries(["MUST", "SHOULD", "MAY"].map((level) => [level, { passed: 0, all: 0 }]));
after(() => {
  for (const [level, { passed, all }] of Object.entries(totals)) {
    assert.ok(all > 0, `no audit says ${level}`);
    console.log(`graphql-http: ${passed} of ${all} ${level}`);
  }
});

for (const audit of audits) {
  test(`${audit.id} ${audit.name}`, async (t) => {
    const [level] = audit.name.split(" ");
    const total = totals[level];
    total.all++;
    const { status, reason, response } = await audit.fn();
    if (status === "ok") {
      total.passed++;
      return;
    }
    if (status === "notice") {
      t.skip(`${reason}, but ${response.status}`);
      return;
    }
    const answer = `${response.status} ${response.headers.get("Content-Type")} ${response.bodyUsed ? "" : await response.text()}`;
    assert.fail(`${reason}\nsent:     ${sent}\nanswered: ${answer}`);
  });
}
