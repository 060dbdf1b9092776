/** The books whose author's name holds `part`. */
export function findByAuthor(books, part) {
  return books.filter((book) => book.author?.includes(part));
}
