/** How long a book may be kept, in days. */
export const LOAN_DAYS = 21;

/** The day on which a book is due back, as YYYY-MM-DD, for the day on which it was borrowed. */
export function dueDate(borrowedOn) {
  const day = new Date(`${borrowedOn}T00:00:00Z`);
  if (Number.isNaN(day.getTime())) throw new TypeError(`not a day: ${borrowedOn}`);
  day.setUTCDate(day.getUTCDate() + LOAN_DAYS);
  return day.toISOString().slice(0, 10);
}
