/** The number of books of each decade, as [decade, number], in order; books without a year come last, as "unknown". */
export function countByDecade(books) {
  const decades = new Map();
  let unknown = 0;
  for (const { year } of books) {
    if (!Number.isInteger(year)) {
      unknown += 1;
      continue;
    }
    const decade = Math.floor(year / 10) * 10;
    decades.set(decade, (decades.get(decade) ?? 0) + 1);
  }
  const counted = [...decades].sort(([a], [b]) => a - b);
  return unknown > 0 ? [...counted, ["unknown", unknown]] : counted;
}
