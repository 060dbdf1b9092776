import assert from "node:assert/strict";
import { test } from "node:test";
import { Shelf } from "../src/shelf.js";

test("a book without a title is called Untitled", () => {
  const shelf = new Shelf();
  shelf.add({ author: "Anonymous" });
  assert.equal(shelf.books()[0].title, "Untitled");
});
