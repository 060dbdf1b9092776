import assert from "node:assert/strict";
import { test } from "node:test";
import { findByAuthor } from "../src/search.js";

const books = [
  { title: "Middlemarch", author: "George Eliot" },
  { title: "Four Quartets", author: "T. S. Eliot" },
  { title: "Walden", author: "Henry David Thoreau" },
  { title: "Beowulf" },
];
const titles = (found) => found.map((book) => book.title);

test("a part of a name finds every author who has it", () => {
  assert.deepEqual(titles(findByAuthor(books, "Eliot")), ["Middlemarch", "Four Quartets"]);
});

test("upper and lower case make no difference", () => {
  assert.deepEqual(titles(findByAuthor(books, "eLIOT")), ["Middlemarch", "Four Quartets"]);
});

test("nothing found is an empty list", () => {
  assert.deepEqual(findByAuthor(books, "Austen"), []);
});
