import { dueDate } from "./loans.js";

/** The loans, as { title, borrowedOn }, that were due before `today` (YYYY-MM-DD), the longest overdue first. */
export function overdue(loans, today) {
  return loans
    .map((loan) => ({ ...loan, due: dueDate(loan.borrowedOn) }))
    .filter((loan) => loan.due < today)
    .sort((a, b) => a.due.localeCompare(b.due));
}
