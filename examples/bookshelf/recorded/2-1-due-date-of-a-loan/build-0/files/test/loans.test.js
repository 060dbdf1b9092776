import assert from "node:assert/strict";
import { test } from "node:test";
import { dueDate } from "../src/loans.js";

test("a book is due three weeks after it was borrowed", () => {
  assert.equal(dueDate("2026-03-02"), "2026-03-23");
});

test("the end of a month and of a year are no obstacle", () => {
  assert.equal(dueDate("2026-12-20"), "2027-01-10");
});

test("what is no day is refused", () => {
  assert.throws(() => dueDate("soon"), TypeError);
});
