"""`python -m rag.optimize FOLDER`: builds the graph of a copied collection, at everybody else's pace.

A process of its own, because the engine holds Python's lock for as long as it takes.
"""

import os
import sys

from qdrant_edge import EdgeShard

NICENESS = 15


def main(folder: str) -> None:
    os.nice(NICENESS)
    shard = EdgeShard.load(folder)
    shard.optimize()
    shard.flush()
    shard.close()


if __name__ == "__main__":
    main(sys.argv[1])
