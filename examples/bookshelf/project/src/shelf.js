/** A shelf of books. A book is { title, author, year }. */
export class Shelf {
  #books = [];

  /** Puts a book on the shelf. A book without a title is refused. */
  add(book) {
    if (!book?.title) throw new TypeError("a book needs a title");
    this.#books.push({ ...book });
  }

  /** All books, in the order in which they were put there. */
  books() {
    return this.#books.map((book) => ({ ...book }));
  }
}
