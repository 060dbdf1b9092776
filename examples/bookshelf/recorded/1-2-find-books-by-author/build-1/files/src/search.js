/** The books whose author's name holds `part`, whatever the case of either. */
export function findByAuthor(books, part) {
  const wanted = part.toLowerCase();
  return books.filter((book) => book.author?.toLowerCase().includes(wanted));
}
