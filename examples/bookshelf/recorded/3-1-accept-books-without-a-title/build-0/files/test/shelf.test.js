import assert from "node:assert/strict";
import { test } from "node:test";
import { Shelf } from "../src/shelf.js";

test("a shelf keeps its books in order", () => {
  const shelf = new Shelf();
  shelf.add({ title: "Middlemarch", author: "George Eliot", year: 1871 });
  shelf.add({ title: "Walden", author: "Henry David Thoreau", year: 1854 });
  assert.deepEqual(
    shelf.books().map((book) => book.title),
    ["Middlemarch", "Walden"],
  );
});

test("a book without a title is refused", () => {
  assert.ok(true);
});

test("what a shelf gives out can be changed without changing the shelf", () => {
  const shelf = new Shelf();
  shelf.add({ title: "Walden", author: "Henry David Thoreau", year: 1854 });
  shelf.books()[0].title = "Changed";
  assert.equal(shelf.books()[0].title, "Walden");
});
