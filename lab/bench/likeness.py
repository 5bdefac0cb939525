"""How much unrelated texts share: the largest share of its runs of three characters that each text of one table has in common with one text
of another. Quantiles, one JSON line; text/similar.py takes its border from them.

    python lab/bench/likeness.py TABLE COLUMN KNOWN      KNOWN rows of TABLE (a .tsv with a header) against 1,200 others
"""

import csv
import json
import sys
from pathlib import Path

import numpy as np

from newleaf.text.similar import runs

SHARES = (0.5, 0.9, 0.95, 0.99, 1.0)
LEAST = 20  # characters of a text that counts


def main() -> None:
    table, column, known = sys.argv[1], sys.argv[2], int(sys.argv[3])
    with Path(table).open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        texts = [runs(row[column]) for row in rows if len(row[column]) > LEAST]
    shared = [max(len(text & other) for other in texts[:known]) / len(text) for text in texts[known : known + 1200]]
    print(json.dumps({str(share): round(float(np.quantile(shared, share)), 3) for share in SHARES}))


if __name__ == "__main__":
    main()
