import assert from "node:assert/strict";
import { test } from "node:test";
import { countByDecade } from "../src/count.js";

test("books are counted by decade, in order", () => {
  const books = [{ year: 1999 }, { year: 1871 }, { year: 1990 }, { year: 1879 }];
  assert.deepEqual(countByDecade(books), [
    [1870, 2],
    [1990, 2],
  ]);
});

test("books without a year are counted last", () => {
  assert.deepEqual(countByDecade([{ title: "Beowulf" }, { year: 1954 }]), [
    [1950, 1],
    ["unknown", 1],
  ]);
});

test("no books, no decades", () => {
  assert.deepEqual(countByDecade([]), []);
});
