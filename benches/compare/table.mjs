// Figures, and tables of them.

/** Prints rows of texts; the first `labels` columns are names, the others figures. */
export function printTable(rows, labels) {
    const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => row[column].length)));
    for (const row of rows) console.log(row.map((text, column) => (column < labels ? text.padEnd(widths[column]) : text.padStart(widths[column]))).join("  "));
}

export function median(numbers) {
    const sorted = [...numbers].sort((a, b) => a - b);
    const middle = sorted.length >> 1;
    return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}
