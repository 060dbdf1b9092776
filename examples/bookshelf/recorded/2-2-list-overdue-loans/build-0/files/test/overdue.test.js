import assert from "node:assert/strict";
import { test } from "node:test";
import { overdue } from "../src/overdue.js";

test("the longest overdue comes first, and what is due today is not overdue", () => {
  const loans = [
    { title: "Walden", borrowedOn: "2026-03-05" },
    { title: "Middlemarch", borrowedOn: "2026-03-01" },
    { title: "Beowulf", borrowedOn: "2026-03-10" },
  ];
  const found = overdue(loans, "2026-03-31").map((loan) => loan.title);
  assert.deepEqual(found, ["Middlemarch", "Walden"]);
});
