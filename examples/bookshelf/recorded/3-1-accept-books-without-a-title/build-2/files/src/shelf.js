/** A shelf of books. A book is { title, author, year }. */
export class Shelf {
  #books = [];

  /** Puts a book on the shelf. A book without a title is called "Untitled". */
  add(book) {
    this.#books.push({ ...book, title: book?.title || "Untitled" });
  }

  /** All books, in the order in which they were put there. */
  books() {
    return this.#books.map((book) => ({ ...book }));
  }
}
